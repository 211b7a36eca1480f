"""`btcbot parity A B` on two backtests of the same market."""

import json
import shutil
from pathlib import Path

import pytest

from btcbot.cli import exits
from tests.backtest.tapes import depth_rows, write
from tests.cli.terminal import Ended, Terminal

LIVELY = (
    "order_notional = 400, position_notional_max = 1500, entry_dip_bps = 2.0, profit_bps = 1.0, "
    "stop_loss_bps = 80.0, anchor_s = 5.0, warm_up_s = 3.0, life_s = 4.0, rest_s = 4.0"
)


def backtest(terminal: Terminal, out: str, **settings: str) -> Path:
    tape = terminal.folder / "tape.jsonl"
    if not tape.exists():
        write(tape, depth_rows(seed=3))
    done = terminal.btcbot(
        "backtest", "-s", "profit_aware", "--data", str(tape), "--out", out, **settings
    )
    assert done.code == exits.OK, done.err
    return terminal.folder / out


def compared(terminal: Terminal, *named: str) -> Ended:
    return terminal.btcbot("parity", *named, "--json")


def test_two_runs_of_one_input_have_one_fingerprint(terminal: Terminal) -> None:
    backtest(terminal, "a")
    backtest(terminal, "b")

    done = compared(terminal, "a", "b")

    found = json.loads(done.out)
    assert (done.code, found["same"], found["differences"]) == (exits.OK, True, [])
    assert (
        found["a"]
        == found["b"]
        == json.loads((terminal.folder / "a/summary.json").read_bytes())["fingerprint"]
    )


def test_another_setting_is_shown_as_the_first_order_that_differs(terminal: Terminal) -> None:
    for name, cross_bps in (("a", "5"), ("b", "7")):
        params = f"{{{LIVELY}, cross_bps = {cross_bps}}}"
        backtest(terminal, name, BTCBOT__STRATEGY__PARAMS=params)

    done = compared(terminal, "a", "b")
    table = terminal.btcbot("parity", "a", "b")

    found = json.loads(done.out)
    assert (done.code, table.code, found["same"]) == (exits.PROBLEM, exits.PROBLEM, False)
    first = found["differences"][0]
    assert (first["section"], first["row"], first["field"]) == ("orders", 1, "quantity")
    assert f"quantity is {first['a']} in A and {first['b']} in B" in table.err
    assert first["name"] in table.out


def test_a_run_of_the_home_is_named_by_its_number(terminal: Terminal) -> None:
    folder = backtest(terminal, "a")
    number = json.loads((folder / "summary.json").read_bytes())["run"]
    shutil.copytree(folder, terminal.folder / "home" / "backtests" / number)

    done = terminal.btcbot("parity", number, "a", "--home", "home")

    assert done.code == exits.OK


@pytest.mark.parametrize("named", ["nothing", "home"])
def test_what_is_no_run_is_not_found(terminal: Terminal, named: str) -> None:
    done = compared(terminal, named, named)

    assert (done.code, done.out) == (exits.NOT_FOUND, "")
    assert f"no run '{named}'" in done.err


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("orders.jsonl", "{}\n", "orders.jsonl: row 1"),
        ("fills.jsonl", '{"price":"NaN"}\n', "fills.jsonl: row 1"),
        ("equity.csv", "at_ns,equity_try\n1,2\n", "equity.csv: row 2"),
        ("candles.csv", "open_ns,open,high,low,close\nx,1,1,1,1\n", "candles.csv: row 2"),
        ("summary.json", "{", "summary.json"),
        ("summary.json", '{"run":"x"}', "run the backtest again"),
        ("orders.jsonl", None, "is missing"),
    ],
)
def test_a_run_that_cannot_be_read_names_the_file_and_the_row(
    terminal: Terminal, file: str, content: str | None, said: str
) -> None:
    folder = backtest(terminal, "a")
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_text(content, encoding="utf-8")

    done = compared(terminal, "a", "a")

    assert (done.code, done.out) == (exits.PROBLEM, "")
    assert said in done.err
