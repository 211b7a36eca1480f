"""What a fresh clone promises: locks that pip installs anywhere, scripts that explain."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("build", "run", "test", "lint")
SCRIPTS = (
    "scripts/run",
    "scripts/test",
    "scripts/check",
    "scripts/venv",
    "scripts/lock",
    "scripts/mutants",
    "scripts/sim-nightly",
    "scripts/fuzz",
    "scripts/recorder-kills",
    ".ci/run",
)
TOP_LEVEL = {
    ".ci", ".gitignore", "CHANGELOG.md", "LICENSE", "README.md", "actors", "btcbot", "bus", "docs",
    "pyproject.toml", "requirements", "scripts", "supervisord.conf", "tests",
}  # fmt: skip


def pins(text: str) -> dict[str, str]:
    """Return name -> version of everything pinned in `text`, names as the index spells them."""
    found = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", text, re.MULTILINE)
    return {name.lower().replace("_", "-"): version for name, version in found}


def lock(name: str) -> str:
    return (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_names_no_index_and_no_path(name: str) -> None:
    text = lock(name)

    assert not re.search(r"://|--index|--find-links|--extra|^/|file:|@ ", text, re.MULTILINE)


@pytest.mark.parametrize("name", LOCKS)
def test_every_requirement_has_its_hashes(name: str) -> None:
    blocks = re.split(r"\n(?=[A-Za-z])", lock(name).partition("\n")[2])

    assert [block.split()[0] for block in blocks if "--hash=sha256:" not in block] == []


def test_each_lock_holds_the_one_before() -> None:
    run, test, lint = (pins(lock(name)) for name in ("run", "test", "lint"))

    assert run.items() <= test.items() <= lint.items()


def test_the_locks_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    run, lint = pins(lock("run")), pins(lock("lint"))

    for wanted, locked in (
        (project["dependencies"] + extras["ui"], run),
        (extras["test"] + extras["lint"], lint),
    ):
        for requirement in wanted:
            name = re.split(r"[=<>]", requirement)[0].lower()
            assert name in locked, f"{name} is not locked: run scripts/lock"
            if "==" in requirement:
                assert requirement.endswith(f"=={locked[name]}"), f"{name}: run scripts/lock"


def test_the_build_backend_is_locked_as_required() -> None:
    required = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]

    assert required["requires"] == [f"hatchling=={pins(lock('build'))['hatchling']}"]


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_can_be_run_and_parses(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)
    assert subprocess.run(["bash", "-n", ROOT / script], check=False).returncode == 0


def test_run_explains_itself_from_anywhere(tmp_path: Path) -> None:
    done = subprocess.run(
        [ROOT / "scripts/run", "--help"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0
    for flag in ("--detach", "--stop", "--data FILE"):
        assert flag in done.stdout


@pytest.mark.parametrize("arguments", [["--nope"], ["--data"], ["--data", "/none/such"]])
def test_run_refuses_what_it_does_not_know(arguments: list[str]) -> None:
    done = subprocess.run([ROOT / "scripts/run", *arguments], capture_output=True, check=False)

    assert done.returncode == 2


def listed() -> list[str]:
    """Return every file that git follows; skip the test where nothing does."""
    done = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        pytest.skip("not a git checkout")
    return [name for name in done.stdout.split("\0") if name]


def test_the_top_level_is_what_it_should_be() -> None:
    """What a measurement leaves in this folder must not be committed with the next change."""
    assert {name.partition("/")[0] for name in listed()} == TOP_LEVEL


def test_no_file_of_the_repository_names_a_machine() -> None:
    this = Path(__file__).resolve()

    for name in listed():
        path = ROOT / name
        if path.is_file() and path != this:
            assert not re.search(rb"/opt/pypi|/root/|/work/main", path.read_bytes()), name


def test_each_fault_that_is_planted_has_its_one_place() -> None:
    """scripts/mutants takes long: whoever moves the text of a mutant learns of it here."""
    text = (ROOT / "tests" / "mutants" / "mutants.toml").read_text(encoding="utf-8")
    lost = [
        f"{mutant['number']} {mutant['name']}: {change['file']}"
        for mutant in tomllib.loads(text)["mutant"]
        for change in mutant["changes"]
        if (ROOT / change["file"]).read_text(encoding="utf-8").count(change["old"]) != 1
    ]

    assert lost == []
