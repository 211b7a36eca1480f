"""`btcbot report` on a backtest: a page and figures, or nothing at all."""

import csv
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from btcbot.cli import exits
from tests.cli.terminal import Terminal
from tests.cli.test_parity import backtest


def test_writes_a_page_beside_the_run_and_prints_its_figures(terminal: Terminal) -> None:
    folder = backtest(terminal, "run")

    done = terminal.btcbot("report", "run")

    text = (folder / "report.html").read_text(encoding="utf-8")
    assert (done.code, done.reached) == (exits.OK, [])
    assert "report.html" in done.err
    for word in ("sharpe", "win rate", "slippage bps", "sent to first fill", "fingerprint"):
        assert word in done.out
    summary = json.loads((folder / "summary.json").read_bytes())
    for name in ("run", "config", "data", "fingerprint"):
        assert summary[name] in text
    assert terminal.btcbot("report", "run", "--html").out == text


def test_the_figures_are_those_of_the_files(terminal: Terminal) -> None:
    folder = backtest(terminal, "run")

    found = json.loads(terminal.btcbot("report", "run", "--json").out)
    days = list(csv.DictReader(terminal.btcbot("report", "run", "--csv").out.splitlines()))

    lines = (folder / "fills.jsonl").read_text(encoding="utf-8").splitlines()
    fills = [json.loads(line) for line in lines]
    assert fills, "the tape must make it trade"
    fees = sum(Decimal(row["fee"]) + Decimal(row["tax"]) for row in fills)
    turnover = sum(Decimal(row["price"]) * Decimal(row["quantity"]) for row in fills)
    assert sum(Decimal(row["fees"]) for row in days) == fees
    assert sum(Decimal(row["turnover"]) for row in days) == turnover
    assert sum(int(row["fills"]) for row in days) == len(fills)
    assert days == [{k: str(v) for k, v in row.items()} for row in found["days"]]
    taken = [row for row in fills if row["liquidity"] == "taker"]
    cost = sum(Decimal(row["price"]) * Decimal(row["quantity"]) for row in taken)
    assert Decimal(found["quality"]["taker"]) == round(Decimal(cost), 2)
    assert found["quality"]["slippage_unknown_fills"] == 0
    assert not (folder / "report.html").exists()


def lines(change: Callable[[dict[str, object]], None]) -> Callable[[str], str]:
    def changed(text: str) -> str:
        rows = [json.loads(line) for line in text.splitlines()]
        change(rows[0])
        return "".join(json.dumps(row) + "\n" for row in rows)

    return changed


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("fills.jsonl", lines(lambda row: row.update(fee="1.23456789")), "make it"),
        ("fills.jsonl", lines(lambda row: row.update(quantity="1")), "its fills are"),
        ("fills.jsonl", lambda text: text + text.splitlines()[0] + "\n", "is there twice"),
        ("orders.jsonl", lines(lambda row: row.update(limit_price="5000000")), "fingerprint"),
        ("orders.jsonl", lambda text: "".join(text.splitlines(keepends=True)[:-1]), "is not there"),
        ("equity.csv", lambda text: text.replace("100000,0", "100001,0", 1), "drawdown"),
        ("summary.json", lambda text: text.replace('"fills":', '"fills": 99, "x":'), "fills = 99"),
        ("summary.json", lambda text: text.replace('"TRY": "', '"TRY": "1', 1), "TRY at the end"),
    ],
)
def test_nothing_is_shown_of_a_run_that_does_not_add_up(
    terminal: Terminal, file: str, change: Callable[[str], str], said: str
) -> None:
    path = backtest(terminal, "run") / file
    before = path.read_text(encoding="utf-8")
    path.write_text(change(before), encoding="utf-8")
    assert path.read_text(encoding="utf-8") != before

    for flags in ((), ("--json",), ("--csv",), ("--html",)):
        done = terminal.btcbot("report", "run", *flags)

        assert (done.code, done.out) == (exits.PROBLEM, ""), flags
        assert said in done.err
        assert "nothing is shown of it" in done.err
    assert not (path.parent / "report.html").exists()


def test_a_page_that_cannot_be_written_says_where_it_should_go(terminal: Terminal) -> None:
    backtest(terminal, "run")

    done = terminal.btcbot("report", "run", "--out", "no/such/folder.html")

    assert done.code == exits.CONFIG
    assert "name another --out" in done.err
    assert terminal.btcbot("report", "run", "--out", "page.html").code == exits.OK
    assert (terminal.folder / "page.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("nothing",), exits.NOT_FOUND),
        (("run", "--json", "--csv"), exits.USAGE),
        (("run", "--timerange", "20260101-20260201"), exits.PROBLEM),
    ],
)
def test_what_cannot_be_reported_is_refused(
    terminal: Terminal, arguments: tuple[str, ...], code: int
) -> None:
    backtest(terminal, "run")

    done = terminal.btcbot("report", *arguments)

    assert (done.code, done.out) == (code, "")
    assert not (Path("run") / "report.html").exists()
