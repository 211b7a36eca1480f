"""`btcbot backtest`: what it prints and writes, run as a person runs it."""

import csv
import json
import os
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import pytest

from btcbot.cli import exits
from btcbot.cli.strategy import template
from tests.backtest.conftest import BTCBOT, Backtest
from tests.backtest.tapes import (
    START_NS,
    candle_rows,
    depth_rows,
    l2_recording,
    quote_rows,
    total,
    trade_rows,
    write,
)

FILES = {"orders.jsonl", "fills.jsonl", "equity.csv", "candles.csv", "summary.json"}
RSS_MAX_KIB = 300 * 1024
CPU_MAX_S = 10.0


def lines(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_prints_two_tables_and_leaves_the_run_in_the_home(
    backtest: Backtest, tmp_path: Path
) -> None:
    tape = write(tmp_path / "tape.jsonl", depth_rows())

    done = backtest("--data", tape)

    assert done.returncode == exits.OK, done.stderr
    for word in ("orders", "fills", "fees", "realized_pnl", "drawdown max", "turnover"):
        assert word in done.stdout
    [folder] = (tmp_path / "home" / "backtests").iterdir()
    assert str(folder) in done.stderr
    assert set(contents(folder)) == FILES
    assert (tmp_path / "home").stat().st_mode & 0o777 == 0o700


def test_a_strategy_that_changes_itself_leaves_each_of_its_periods(
    backtest: Backtest, tmp_path: Path
) -> None:
    tape, out = write(tmp_path / "tape.csv", quote_rows(seconds=120)), tmp_path / "out"

    for uses, files in (("adaptive", FILES | {"adaptations.jsonl"}), ("portfolio", FILES)):
        done = backtest("--data", tape, "--out", out, "-s", uses)
        assert done.returncode == exits.OK, done.stderr
        assert set(contents(out)) == files
        if uses == "adaptive":
            told = [row["adaptation"] for row in lines(out / "adaptations.jsonl")]
            assert told[:3] == ["adaptive.1", "adaptive.2", "adaptive.3"]


def test_the_summary_is_the_sum_of_the_files(backtest: Backtest, tmp_path: Path) -> None:
    tape, out = write(tmp_path / "tape.csv", quote_rows(seconds=120)), tmp_path / "out"

    done = backtest("--data", tape, "--out", out, "--json")

    found = json.loads(done.stdout)
    orders, fills = lines(out / "orders.jsonl"), lines(out / "fills.jsonl")
    [pair] = found["pairs"]
    assert json.loads((out / "summary.json").read_text(encoding="utf-8")) == found
    assert (found["orders"], found["fills"]) == (len(orders), len(fills))
    assert fills, "the tape must make it trade"
    turnover = sum(Decimal(f["price"]) * Decimal(f["quantity"]) for f in fills)
    assert Decimal(pair["turnover"]) == round(Decimal(turnover), 2)
    fees = total(fills, "fee") + total(fills, "tax")
    assert abs(Decimal(pair["fees"]) - fees) <= Decimal("0.005")
    with (out / "equity.csv").open(encoding="utf-8") as file:
        equity = list(csv.DictReader(file))
    assert abs(Decimal(found["equity_last"]) - Decimal(equity[-1]["equity_try"])) < Decimal("0.01")
    worst = max(Decimal(row["drawdown_try"]) for row in equity)
    assert abs(Decimal(found["drawdown_max"]) - worst) <= Decimal("0.005")
    gain = Decimal(found["equity_last"]) - Decimal(found["equity_first"])
    booked = Decimal(pair["realized_pnl"]) + Decimal(pair["unrealized_pnl"])
    # Profit counts a held unit at its cost with fees; equity at the middle: equal to the cent here.
    assert abs(gain - booked) <= Decimal("0.03")


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("depth.jsonl", depth_rows),
        ("depth.jsonl.gz", depth_rows),
        ("quotes.csv", quote_rows),
        ("trades.csv.gz", trade_rows),
    ],
)
def test_the_same_input_gives_the_same_bytes_whatever_the_hash_seed(
    backtest: Backtest, tmp_path: Path, name: str, rows: Callable[[], list[str]]
) -> None:
    tape = write(tmp_path / name, rows())
    runs = []

    for seed in ("0", "1", "4242"):
        done = backtest("--data", tape, "--out", tmp_path / seed, "--json", PYTHONHASHSEED=seed)
        runs.append((done.returncode, done.stdout, contents(tmp_path / seed)))

    assert runs[0][0] == exits.OK
    assert runs[0] == runs[1] == runs[2]
    assert runs[0][2]["fills.jsonl"]


def test_with_the_codec_on_every_file_is_the_same(backtest: Backtest, tmp_path: Path) -> None:
    tape = write(tmp_path / "tape.jsonl", depth_rows(seed=3))

    plain = backtest("--data", tape, "--out", tmp_path / "plain", "--json")
    coded = backtest("--data", tape, "--out", tmp_path / "coded", "--json", "--codec")

    assert plain.stdout == coded.stdout
    assert contents(tmp_path / "plain") == contents(tmp_path / "coded")


def test_a_time_range_takes_whole_days_and_leaves_out_the_last(
    backtest: Backtest, tmp_path: Path
) -> None:
    day_ns = 86_400 * 10**9
    midnight = START_NS // day_ns * day_ns + day_ns
    early, late = quote_rows(seconds=30), quote_rows(seconds=30)
    moved = [
        f"{midnight + int(row.split(',')[0]) - START_NS},{row.split(',', 1)[1]}" for row in late[1:]
    ]
    tape = write(tmp_path / "tape.csv", early + moved)

    def events(timerange: str) -> int:
        done = backtest("--data", tape, "--timerange", timerange, "--json")
        assert done.returncode == exits.OK, done.stderr
        return int(json.loads(done.stdout)["events"])

    assert events("") == 240
    assert events("20231114-20231115") == events("20231115-") == events("-20231115") == 120
    nothing = backtest("--data", tape, "--timerange", "20240101-20240201", "--json")
    assert nothing.returncode == exits.CONFIG
    assert "within the time range" in nothing.stderr
    assert nothing.stdout == ""


@pytest.mark.parametrize("given", ["2023", "20231301-", "20231115-20231114", "x-y", "20231115"])
def test_a_time_range_that_is_none_is_a_usage_error(
    backtest: Backtest, tmp_path: Path, given: str
) -> None:
    tape = write(tmp_path / "tape.csv", quote_rows(seconds=2))

    done = backtest("--data", tape, "--timerange", given)

    assert done.returncode == exits.USAGE
    assert "20260101-" in done.stderr


def test_the_pair_decides_rules_fees_and_prices(backtest: Backtest, tmp_path: Path) -> None:
    tape = write(tmp_path / "tape.csv", quote_rows(seconds=60))

    home = json.loads(backtest("--data", tape, "--json").stdout)
    foreign = json.loads(backtest("--data", tape, "--pair", "ETHTRY", "--json").stdout)
    unknown = backtest("--data", tape, "--pair", "DOGEMARS")

    assert (home["pairs"][0]["pair"], home["factor"]) == ("BTCTRY", "1")
    assert foreign["pairs"][0]["pair"] == "ETHTRY"
    assert Decimal(foreign["factor"]) < 1
    assert unknown.returncode == exits.CONFIG
    assert "'DOGEMARS'" in unknown.stderr
    assert "BTCTRY, ETHTRY, USDTTRY, BTCUSDT" in unknown.stderr


@pytest.mark.parametrize(
    ("given", "code"), [("0", exits.USAGE), ("NaN", exits.USAGE), ("0.5", exits.CONFIG)]
)
def test_a_start_price_must_be_a_price_of_the_pair(
    backtest: Backtest, tmp_path: Path, given: str, code: int
) -> None:
    tape = write(tmp_path / "tape.csv", quote_rows(seconds=2))

    done = backtest("--data", tape, "--start-price", given)

    assert done.returncode == code
    assert given in done.stderr


def test_an_unknown_strategy_ends_with_78(backtest: Backtest, tmp_path: Path) -> None:
    tape = write(tmp_path / "tape.csv", quote_rows(seconds=2))

    done = backtest("-s", "profit_awar", "--data", tape)

    assert done.returncode == exits.CONFIG
    assert "did you mean 'profit_aware'?" in done.stderr


def test_a_file_of_ones_own_is_run_and_its_text_is_a_part_of_the_runs_name(
    backtest: Backtest, tmp_path: Path
) -> None:
    tape, mine = write(tmp_path / "tape.csv", quote_rows(seconds=120)), tmp_path / "mine.py"
    mine.write_text(template("mine"), encoding="utf-8")
    first = json.loads(backtest("-s", mine, "--data", tape, "--json").stdout)
    mine.write_text(template("mine") + "# Changed.\n", encoding="utf-8")
    other = json.loads(backtest("-s", mine, "--data", tape, "--json").stdout)

    assert (first["orders"], first["fills"]) == (other["orders"], other["fills"])
    assert first["orders"] > 0
    assert first["run"] != other["run"]


def test_all_that_the_configuration_names_runs_on_one_account(
    backtest: Backtest, tmp_path: Path
) -> None:
    tape, out = write(tmp_path / "tape.csv", quote_rows(seconds=120)), tmp_path / "out"
    (tmp_path / "more.toml").write_text(
        '[strategies.one]\nuses = "profit_aware"\n[strategies.two]\nuses = "sweep"\n', "utf-8"
    )

    done = backtest(
        "-s", "configured", "-c", tmp_path / "more.toml", "--data", tape, "--out", out, "--json"
    )

    assert done.returncode == exits.OK, done.stderr
    assert {row["strategy"] for row in lines(out / "orders.jsonl")} == {"one", "two"}


def test_a_failure_leaves_no_summary_and_an_earlier_run_as_it_was(
    backtest: Backtest, tmp_path: Path
) -> None:
    good, out = write(tmp_path / "good.csv", quote_rows(seconds=20)), tmp_path / "out"
    bad = write(tmp_path / "bad.csv", [*quote_rows(seconds=20), "1,2,3"])

    failed = backtest("--data", bad, "--out", out)
    assert failed.returncode == exits.CONFIG
    assert contents(out) == {}

    assert backtest("--data", good, "--out", out).returncode == exits.OK
    before = contents(out)
    assert backtest("--data", bad, "--out", out).returncode == exits.CONFIG
    assert contents(out) == before


def test_changes_of_a_book_without_the_book_before_them_are_no_recording_of_a_market(
    backtest: Backtest, tmp_path: Path
) -> None:
    rows = depth_rows()
    later = write(tmp_path / "later.jsonl", rows[1:])

    done = backtest("--data", later)

    assert done.returncode == exits.CONFIG
    assert "BTCTRY: nothing here makes a price" in done.stderr
    assert "put the file that begins with it before this one" in done.stderr
    assert backtest("--data", write(tmp_path / "whole.jsonl", rows)).returncode == exits.OK


def test_a_folder_that_cannot_be_written_is_refused_before_the_run(
    backtest: Backtest, tmp_path: Path
) -> None:
    tape = write(tmp_path / "tape.csv", quote_rows(seconds=2))
    (tmp_path / "file").write_text("", encoding="utf-8")

    taken = backtest("--data", tape, "--out", tmp_path / "file")
    below = backtest("--data", tape, "--out", tmp_path / "file" / "below")

    assert taken.returncode == exits.USAGE
    assert below.returncode == exits.CONFIG
    assert "name another --out" in below.stderr
    assert below.stdout == ""


def test_a_candle_file_runs_and_says_what_it_made_of_it(backtest: Backtest, tmp_path: Path) -> None:
    tape = write(tmp_path / "candles.csv", candle_rows(count=10))

    found = json.loads(backtest("--data", tape, "--json").stdout)

    assert found["events"] == 10 * 4 * 2  # Four trades a candle, each with the quote it implies.


def high_water_kib(pid: int) -> int:
    """Return the most memory that a process had, so far; 0 when it is over."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return 0


def test_the_full_depth_recording_is_fast_and_small(tmp_path: Path) -> None:
    data = [part for path in l2_recording() for part in ("--data", str(path))]
    out, complaints = tmp_path / "stdout", tmp_path / "stderr"
    with out.open("wb") as stdout, complaints.open("wb") as stderr:
        process = subprocess.Popen(
            ["/usr/bin/env", BTCBOT, "backtest", "-s", "profit_aware", *data,
             "--out", tmp_path / "out", "--home", tmp_path / "home", "--json"],
            stdout=stdout, stderr=stderr,
        )  # fmt: skip
        most_kib = 0
        # Of its own memory: what wait4 tells counts the pages of the tests it was forked from.
        while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            most_kib = max(most_kib, high_water_kib(process.pid))
            time.sleep(0.01)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)

    assert process.returncode == exits.OK, complaints.read_text()
    found = json.loads(out.read_bytes())
    assert found["events"] == 26_398
    assert found["fills"] > 0
    # CPU, not the clock on the wall: other tests run beside this one.
    assert usage.ru_utime < CPU_MAX_S
    assert 10_000 < most_kib < RSS_MAX_KIB


def test_a_pair_in_usdt_is_judged_by_the_documented_rate_all_along(
    backtest: Backtest, tmp_path: Path
) -> None:
    """Limits are in TRY: a rate that nobody says again grows old, and everything is refused."""
    tape = write(tmp_path / "tape.jsonl", depth_rows())

    done = backtest("--data", tape, "--pair", "BTCUSDT", "--json")

    assert done.returncode == exits.OK, done.stderr
    summary = json.loads(done.stdout)
    # 400 USDT are more TRY than one order may be: judged by the rate, not for want of one.
    assert set(summary["refusals"]) == {"order_notional"}, summary


def test_latency_and_queue_decide_the_result_and_are_in_what_names_the_run(
    backtest: Backtest, tmp_path: Path
) -> None:
    tape = write(tmp_path / "tape.jsonl", depth_rows(seed=3))
    runs = {}

    for name, flags in (
        ("usual", ()),
        ("same", ("--latency-ms", "25", "--queue", "back")),
        ("slow", ("--latency-ms", "400")),
        ("front", ("--queue", "front")),
    ):
        done = backtest("--data", tape, "--out", tmp_path / name, "--json", *flags)
        runs[name] = json.loads(done.stdout)

    assert runs["usual"] == runs["same"]
    assert (runs["usual"]["latency_ms"], runs["usual"]["queue"]) == (25, "back")
    assert len({runs[name]["run"] for name in ("usual", "slow", "front")}) == 3
    [usual, slow] = (lines(tmp_path / name / "orders.jsonl")[0] for name in ("usual", "slow"))
    took = [int(row["acked_ns"]) - int(row["created_ns"]) for row in (usual, slow)]
    assert took == [50_000_000, 800_000_000]


def test_the_pairs_of_a_data_set_are_one_run_the_same_whatever_the_hash_seed(
    backtest: Backtest, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    made = ["data", "init", "three", "--rows", "25", "--pairs", "SOLTRY,BTCTRY,ETHTRY"]
    subprocess.run([BTCBOT, *made, "--home", home, "-q"], check=True, timeout=60)
    runs = []
    for seed in ("0", "4242"):
        out = tmp_path / seed
        done = backtest(
            "--data", "three", "--pair", "all", "--out", out, "--json", PYTHONHASHSEED=seed
        )
        runs.append((done.returncode, done.stderr, done.stdout, contents(out)))

    assert runs[0][0] == exits.OK, runs[0][1]
    assert runs[0][2:] == runs[1][2:]
    found = json.loads(runs[0][2])
    assert [row["pair"] for row in found["pairs"]] == ["BTCTRY", "ETHTRY", "SOLTRY"]
    assert sum(row["fills"] for row in found["pairs"]) == found["fills"]
    assert sum(1 for row in found["pairs"] if row["fills"]) > 1, "several must trade"
    told = subprocess.run(
        [BTCBOT, "report", tmp_path / "0", "--json", "--home", home],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert told.returncode == exits.OK, told.stderr
    reported = {row["pair"]: row["fills"] for row in json.loads(told.stdout)["trading"]["pairs"]}
    assert reported == {row["pair"]: row["fills"] for row in found["pairs"] if row["fills"]}


def test_files_are_of_one_pair(backtest: Backtest, tmp_path: Path) -> None:
    tape = write(tmp_path / "tape.csv", quote_rows(seconds=5))
    two = ("--pair", "BTCTRY", "--pair", "ETHTRY")

    for pairs in (two, ("--pair", "all")):
        done = backtest("--data", tape, *pairs)
        assert (done.returncode, "name one" in done.stderr) == (exits.CONFIG, True), done.stderr


def test_pairs_whose_stated_fees_differ_are_not_guessed_at(
    backtest: Backtest, tmp_path: Path
) -> None:
    made = ["data", "init", "two", "--rows", "3", "--pairs", "BTCTRY,ETHTRY", "-q"]
    subprocess.run([BTCBOT, *made, "--home", tmp_path / "home"], check=True, timeout=60)
    [path] = (tmp_path / "home").rglob("manifest.json")
    manifest = json.loads(path.read_text(encoding="utf-8"))
    runs = []
    for maker_bps in ("1", "2"):
        rates = {"BTCTRY": "1", "ETHTRY": maker_bps}
        manifest["fees"] = {
            pair: {"maker_bps": bps, "taker_bps": "5"} for pair, bps in rates.items()
        }
        path.write_text(json.dumps(manifest), encoding="utf-8")
        runs.append(backtest("--data", "two", "--pair", "all"))

    assert [done.returncode for done in runs] == [exits.OK, exits.CONFIG], runs[0].stderr
    assert "different fees" in runs[1].stderr


def test_a_first_price_is_of_one_pair(backtest: Backtest, tmp_path: Path) -> None:
    made = ["data", "init", "two", "--rows", "2", "--pairs", "BTCTRY,ETHTRY", "-q"]
    subprocess.run([BTCBOT, *made, "--home", tmp_path / "home"], check=True, timeout=60)

    done = backtest("--data", "two", "--pair", "all", "--start-price", "5")

    assert (done.returncode, "of one pair" in done.stderr) == (exits.USAGE, True), done.stderr
