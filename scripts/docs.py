"""Write the documents that are made from the code, or with --check say which are not current.

What btcbot can do and the tests that show it stand in tests/capabilities.toml: each row becomes a
row of docs/reference/capabilities.md, and each test that it names has to exist.

Also holds every document to the command line: each `btcbot ...` and `btcbot-ctl ...` command that
README.md or docs/ names has to exist, and each link between documents has to lead somewhere.
"""

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from btcbot.cli import ctl, main, reference, reference_rules

ROOT = Path(__file__).resolve().parent.parent
HEAD = "Made from the code by `scripts/docs.py`; do not edit."
Row = dict[str, Any]
PROGRAMS = {"btcbot": main.group, "btcbot-ctl": ctl.group}


def made() -> dict[Path, str]:
    """Return the text of every document that is made from the code."""
    folder = ROOT / "docs" / "reference"
    return {
        folder / "configuration.md": reference.markdown(),
        folder / "commands.md": commands(),
        folder / "capabilities.md": capabilities(),
        folder / "risk-rules.md": reference_rules.markdown(),
    }


def capability_rows() -> list[Row]:
    """Return the rows of tests/capabilities.toml in the order of their numbers."""
    text = (ROOT / "tests" / "capabilities.toml").read_text(encoding="utf-8")
    rows: list[Row] = tomllib.loads(text)["row"]
    return sorted(rows, key=lambda row: row["number"])


def capabilities() -> str:
    """Return docs/reference/capabilities.md: each capability with the tests that show it."""
    lines = ["# Capabilities", "", HEAD.replace("the code", "`tests/capabilities.toml`"), ""]
    lines += [
        "Each sentence is what the tests beside it try; all of them are run by `scripts/test`."
    ]
    area = None
    for row in capability_rows():
        if row["area"] != area:
            area = row["area"]
            lines += [
                "",
                f"## {area}",
                "",
                "| | can | works | shown by |",
                "| --- | --- | --- | --- |",
            ]
        shown = "<br>".join(f"`{test}`" for test in row["tests"])
        lines.append(f"| {row['number']} | {row['name']} | {row['works']} | {shown} |")
    return "\n".join(lines) + "\n"


def problems_of_capabilities() -> Iterator[str]:
    """Yield what is wrong with the rows: keys, numbers, and tests that do not exist."""
    where, seen = "tests/capabilities.toml", set()
    for row in capability_rows():
        number = row["number"]
        if set(row) != {"number", "area", "name", "works", "tests"} or not row["tests"]:
            yield f"{where}: row {number}: expected number, area, name, works, tests, none empty"
        if number in seen:
            yield f"{where}: row {number} stands there twice"
        seen.add(number)
        for test in row["tests"]:
            file, _, name = test.partition("::")
            path = ROOT / file
            if not (path.is_file() and f"def {name}(" in path.read_text(encoding="utf-8")):
                yield f"{where}: row {number}: no such test: {test}"


def commands() -> str:
    """Return docs/reference/commands.md: the help of every command, as a person would see it."""
    lines = ["# Commands", "", HEAD, ""]
    for name, group in PROGRAMS.items():
        lines += [f"## {name}", "", "```text", help_of(group, name), "```", ""]
        for path, command in walk(group, name):
            lines += [f"### {path}", "", "```text", help_of(command, path), "```", ""]
    return "\n".join(lines)


def walk(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    """Yield every command under `group` with its full name."""
    context = click.Context(group, info_name=path)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, f"{path} lists {name}, which does not exist"
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from walk(command, f"{path} {name}")


def help_of(command: click.Command, path: str) -> str:
    context = click.Context(command, info_name=path, max_content_width=100, terminal_width=100)
    return "\n".join(line.rstrip() for line in command.get_help(context).splitlines())


def problems() -> Iterator[str]:
    """Yield what the documents say that is not so."""
    known = {path for name, group in PROGRAMS.items() for path, _ in walk(group, name)}
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        text = path.read_text(encoding="utf-8")
        where = path.relative_to(ROOT)
        for program, rest in re.findall(
            r"\b(btcbot|btcbot-ctl)((?: [a-z][a-z-]+)+)", in_code(text)
        ):
            if not is_known(f"{program}{rest}", known):
                yield f"{where}: no such command: {program}{rest}"
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
            if not (path.parent / target).exists():
                yield f"{where}: a link leads nowhere: {target}"


def in_code(text: str) -> str:
    """Return only what stands in code that is meant to be typed: shell blocks and `spans`."""
    found = re.findall(r"```([a-z]*)\n(.*?)```|`([^`\n]+)`", text, re.DOTALL)
    return "\n".join(span or block for kind, block, span in found if kind != "text")


def is_known(said: str, known: set[str]) -> bool:
    """Return whether `said` begins with a command: what follows are its arguments."""
    words = said.split()
    return any(" ".join(words[:count]) in known for count in range(2, len(words) + 1))


def main_(arguments: list[str]) -> int:
    stale = {path: text for path, text in made().items() if not same(path, text)}
    if "--check" not in arguments:
        for path, text in stale.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path.relative_to(ROOT)}")
        stale = {}
    found = [f"{path.relative_to(ROOT)}: not current: run scripts/docs.py" for path in stale]
    found += [*problems(), *problems_of_capabilities()]
    print("\n".join(found) or "documents are current", file=sys.stderr)
    return 1 if found else 0


def same(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main_(sys.argv[1:]))
