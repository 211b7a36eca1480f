"""The reference of the configuration, made from the code: what `init` writes, what docs/ shows.

The text of a key is the comment beside its field, so there is one place to write and none to
forget. Every key must have one: `scripts/check` fails without.
"""

import ast
import inspect
import io
import tokenize
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
from msgspec import Struct

from btcbot.config import Config
from btcbot.layers import toml_text


class Key(Struct, frozen=True):
    """One line of the reference."""

    name: str
    type: str
    default: str
    text: str


class Section(Struct, frozen=True):
    """One table; name "" is the top of the file."""

    name: str
    text: str
    keys: tuple[Key, ...]


def sections() -> list[Section]:
    """Return every section in the order of the file."""
    top, tables = [], []
    for field in msgspec.structs.fields(Config):
        if isinstance(field.type, type) and issubclass(field.type, Struct):
            keys = tuple(_keys(field.type))
            tables.append(Section(field.name, inspect.getdoc(field.type) or "", keys))
        else:
            top.append(field.name)
    keys = tuple(key for key in _keys(Config) if key.name in top)
    return [Section("", inspect.getdoc(Config) or "", keys), *tables]


def toml_template(home: Path) -> str:
    """Return a btcbot.toml with every key commented out at its default, and `home` set."""
    lines = [
        "# btcbot reads this file first, then -c files, then BTCBOT__SECTION__KEY in the",
        "# environment, then flags. Every line that is commented out shows the default.",
    ]
    for section in sections():
        lines += ["", f"[{section.name}]"] if section.name else [""]
        for key in section.keys:
            is_home = not section.name and key.name == "home"
            value = toml_text(home) if is_home else key.default
            line = f"{'' if is_home else '# '}{key.name} = {value}"
            lines.append(f"{line}  # {key.text}")
    return "\n".join(lines) + "\n"


def markdown() -> str:
    """Return docs/reference/configuration.md."""
    lines = [
        "# Configuration",
        "",
        "Made from the code by `scripts/docs.py`; do not edit.",
        "",
        "Layers, later wins: the defaults, one `btcbot.toml`, each `-c FILE`, the environment",
        "(`BTCBOT__SECTION__KEY`, an empty one counts as not set), flags. The file is",
        "`HOME/btcbot.toml` when a home is named by `--home` or `BTCBOT__HOME`, else",
        "`./btcbot.toml`, else `btcbot.toml` in the default home. An unknown key is an error.",
        "`btcbot config show` prints every value and where it was set.",
    ]
    for section in sections():
        lines += ["", f"## [{section.name}]" if section.name else "## Top of the file", ""]
        lines += [
            section.text,
            "",
            "| key | type | default | meaning |",
            "| --- | --- | --- | --- |",
        ]
        for key in section.keys:
            kind = key.type.replace("|", "\\|")
            lines.append(f"| `{key.name}` | {kind} | `{key.default}` | {key.text} |")
    return "\n".join(lines) + "\n"


def _keys(schema: type[Struct]) -> Iterator[Key]:
    comments = field_comments(schema)
    for field in msgspec.structs.fields(schema):
        default = field.default
        if default is msgspec.NODEFAULT and field.default_factory is not msgspec.NODEFAULT:
            default = field.default_factory()
        text = comments.get(field.name, "")
        yield Key(field.name, _type_name(field.type), toml_text(default), text)


def field_comments_of(words: type[StrEnum]) -> Mapping[str, str]:
    """Return the comment of each member of an enumeration of words."""
    return _comments(words, ast.Assign)


def field_comments(schema: type[Struct]) -> Mapping[str, str]:
    """Return the comment of each field of `schema`: beside it, else the block right above it."""
    return _comments(schema, ast.AnnAssign)


def _comments(schema: type, kind: type[ast.AnnAssign | ast.Assign]) -> Mapping[str, str]:
    source = inspect.cleandoc("\n" + inspect.getsource(schema))
    lines = source.splitlines()
    comments = {
        token.start[0]: token.string.lstrip("# ").strip()
        for token in tokenize.generate_tokens(io.StringIO(source + "\n").readline)
        if token.type == tokenize.COMMENT
    }
    [node] = ast.parse(source).body
    assert isinstance(node, ast.ClassDef)
    found = {}
    for statement in node.body:
        if isinstance(statement, kind):
            last = statement.end_lineno or statement.lineno
            block: list[str] = []
            line = statement.lineno - 1
            while line in comments and lines[line - 1].lstrip().startswith("#"):
                block.insert(0, comments[line])
                line -= 1
            [name] = [n.id for n in ast.walk(statement) if isinstance(n, ast.Name)][:1]
            found[name] = comments.get(last) or " ".join(block)
    return found


def _type_name(kind: Any) -> str:  # noqa: ANN401 (the schema's)
    """Return a type as a person who writes TOML would name it."""
    names = {str: "text", int: "integer", bool: "true or false", Path: "path"}
    if get_origin(kind) is Annotated:
        return _type_name(get_args(kind)[0])
    if get_origin(kind) is Literal:
        return " | ".join(f'"{word}"' for word in get_args(kind))
    if get_origin(kind) is tuple:
        return f"list of {_type_name(get_args(kind)[0])}"
    if get_origin(kind) is dict:
        return "table"
    inner = [part for part in get_args(kind) if part is not type(None)]
    if inner and type(None) in get_args(kind):
        return f"{_type_name(inner[0])}, may be empty"
    while hasattr(kind, "__supertype__"):
        kind = kind.__supertype__
    return names.get(kind, "number")
