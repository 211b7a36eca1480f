"""Decision code reaches the world through messages alone: no clock, no chance, no float, no I/O.

The same inputs must give the same steps on another machine, and money must stay exact.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
SHOWN: Final = ("control.py", "status.py")  # Forms of what people are shown; they decide nothing.
DECIDES: Final = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in ("domain", "market", "orders", "ledger", "risk")
    for path in (ROOT / "btcbot" / folder).glob("*.py")
    if path.name not in SHOWN
)
FORBIDDEN_MODULES: Final = frozenset(
    {"time", "random", "uuid", "secrets", "os", "socket", "threading", "asyncio",
     "subprocess", "io", "pathlib", "locale"}
)  # fmt: skip
FORBIDDEN_CALLS: Final = frozenset({"float", "open", "id", "hash", "set", "input", "eval"})


def faults_of(text: str) -> Iterator[str]:
    """Yield what in `text` would make a decision depend on more than its arguments."""
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Import(names=names):
                roots = [alias.name.partition(".")[0] for alias in names]
            case ast.ImportFrom(module=str(module)):
                roots = [module.partition(".")[0]]
            case ast.Call(func=ast.Name(id=name)) if name in FORBIDDEN_CALLS:
                yield f"line {node.lineno}: {name}()"
                continue
            case ast.Constant(value=float() as value):
                yield f"line {node.lineno}: a float, {value}"
                continue
            case (
                ast.For(iter=ast.Set() | ast.SetComp())
                | ast.comprehension(iter=ast.Set() | ast.SetComp())
            ):
                yield "the order of a set"
                continue
            case _:
                continue
        yield from (f"imports {root}" for root in roots if root in FORBIDDEN_MODULES)


@pytest.mark.parametrize("path", DECIDES)
def test_decision_code_depends_on_its_arguments_alone(path: str) -> None:
    assert list(faults_of((ROOT / path).read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import time", "imports time"),
        ("from time import monotonic_ns", "imports time"),
        ("x = float(price)", "line 1: float()"),
        ("x = price * 1.1", "line 1: a float, 1.1"),
        ("x = [y for y in {1, 2}]", "the order of a set"),
        ("open('journal')", "line 1: open()"),
    ],
)
def test_what_is_forbidden_is_noticed(text: str, found: str) -> None:
    assert list(faults_of(text)) == [found]
