"""`btcbot data`: real processes, their words and exit codes; the sandbox where one is asked."""

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from btcbot.catalog.dataset import Dataset
from btcbot.catalog.manifest import load
from btcbot.catalog.rows import Channel, Provenance
from btcbot.cli import data_sets, exits
from btcbot.cli.common import Options
from tests.catalog.markets import PAIR, SHARED, START, needs_recordings, table, trade, written
from tests.catalog.programs import BTCBOT, program, sandbox, wait_for

pytestmark = pytest.mark.timeout(180)
TRADES = "recv_ns,trade_id,price,qty,taker_side"
Done = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def exchange() -> Iterator[str]:
    with sandbox("--speed", "20") as url:
        yield url


def btcbot(home: Path, *arguments: object, url: str = "", without_polars: bool = False) -> Done:
    """Run a command to its end."""
    clean = {name: text for name, text in os.environ.items() if not name.startswith("BTCBOT__")}
    command = list(BTCBOT)
    if without_polars:
        start = "import sys; sys.modules['polars'] = None; from btcbot.cli.main import main; main()"
        command = [sys.executable, "-c", start]
    return subprocess.run(
        [*command, *map(str, arguments)],
        env={**clean, "BTCBOT__HOME": str(home), **settings(url)},
        capture_output=True, text=True, timeout=120, check=False, cwd=home,
    )  # fmt: skip


def trades(path: Path, count: int = 50, first: int = 1) -> Path:
    rows = [
        (START + n * 10**8, first + n, 4_000_000 + n % 7 * 10, "0.01", "buy") for n in range(count)
    ]
    return table(path, TRADES, rows)


def dataset(home: Path, name: str) -> Dataset:
    return Dataset(home / "data" / "sets" / name)


def test_a_file_is_imported_listed_verified_and_played_by_name(tmp_path: Path) -> None:
    path = trades(tmp_path / "trades.csv", 3_000)

    done = btcbot(tmp_path, "data", "import", "mine", path, "--pair", "btctry", "--json")
    assert done.returncode == exits.OK, done.stderr
    assert json.loads(done.stdout) == {"name": "mine", "rows": 3_000, "known_already": 0}

    listed = btcbot(tmp_path, "data", "list", "--json")
    [one] = json.loads(listed.stdout)["sets"]
    assert (one["name"], one["rows"], one["gaps"]) == ("mine", 3_000, [])
    assert one["intervals"] == [
        {"channel": "trades", "pair": "BTCTRY", "from_ns": START,
         "to_ns": START + 2_999 * 10**8 + 1, "provenance": "imported"}
    ]  # fmt: skip
    assert one["sources"][0]["name"] == "trades.csv"
    assert "imported" in btcbot(tmp_path, "data", "list").stdout
    assert btcbot(tmp_path, "data", "verify").returncode == exits.OK

    by_name, by_file = (_played(tmp_path, given) for given in ("mine", str(path)))
    assert by_name["events"] == by_file["events"] == 6_000
    assert by_name["data_gaps"] == 0
    assert by_file["data_gaps"] is None
    for word in ("equity_last", "orders", "fills", "config"):
        assert by_name[word] == by_file[word]


def _played(home: Path, given: str, *more: str) -> dict[str, Any]:
    done = btcbot(home, "backtest", "-s", "ema_cross", "--data", given, "--json", *more)
    assert done.returncode == exits.OK, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@needs_recordings
def test_a_recording_plays_the_same_from_the_catalog_as_from_its_files(tmp_path: Path) -> None:
    path = SHARED / "l2" / "btcusdt_spot_20240808.jsonl.gz"
    done = btcbot(tmp_path, "data", "import", "l2", path, "--pair", "BTCUSDT")
    assert done.returncode == exits.OK, done.stderr

    for given, out in (("l2", "a"), (str(path), "b")):
        _played(tmp_path, given, "--out", str(tmp_path / out))

    for name in ("orders.jsonl", "fills.jsonl", "equity.csv"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_time_range_of_a_data_set_is_played(tmp_path: Path) -> None:
    btcbot(tmp_path, "data", "init", "days", "--rows", "3000")  # Two days and a bit.

    whole = _played(tmp_path, "days")
    second = _played(tmp_path, "days", "--timerange", "20260102-20260103")

    assert whole["from"].startswith("2026-01-01T00:00")
    assert second["from"].startswith("2026-01-02T00:00")
    assert second["events"] * 3000 == pytest.approx(whole["events"] * 1440, rel=0.01)


def test_a_file_with_defects_is_refused_whole_by_row(tmp_path: Path) -> None:
    path = trades(tmp_path / "trades.csv")
    path.write_text(path.read_text().replace("4000010,0.01", "NaN,0.01"))

    done = btcbot(tmp_path, "data", "import", "mine", path, "--pair", "BTCTRY")

    assert done.returncode == exits.PROBLEM
    assert f"{path}, row 3: value: not a decimal number: 'NaN'" in done.stderr
    assert not (tmp_path / "data" / "sets" / "mine").exists()
    found = btcbot(tmp_path, "data", "verify", path, "--json")
    assert found.returncode == exits.PROBLEM
    first = json.loads(found.stdout)["defects"][0]
    assert (first["row"], first["flaw"]) == (3, "value")


def test_missing_rows_are_gaps_and_verify_tells_of_them(tmp_path: Path) -> None:
    home = tmp_path
    for first, name in ((1, "a.csv"), (100, "b.csv")):
        path = trades(home / name, 5, first)
        path.write_text(
            path.read_text().replace("17802720", "17802720" if first == 1 else "17802721")
        )
        assert btcbot(home, "data", "import", "x", path, "--pair", "BTCTRY").returncode == 0

    done = btcbot(home, "data", "gaps", "x", "--json")
    [gap] = json.loads(done.stdout)["gaps"]
    assert (gap["pair"], gap["channel"], gap["cause"]) == ("BTCTRY", "trades", "unknown")
    assert "unknown" in btcbot(home, "data", "gaps", "x").stdout
    assert (
        json.loads(btcbot(home, "data", "gaps", "x", "--pair", "ETHTRY", "--json").stdout)["gaps"]
        == []
    )
    assert btcbot(home, "data", "verify", "x").returncode == exits.PROBLEM


def test_a_replay_dataset_is_imported_by_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "replay"
    for name, header, row in (
        ("candles", "ts,open,high,low,close,volume", (1_780_272_000, 5, 9, 1, 6, 2)),
        ("orderbook", "ts,best_bid,best_ask", (1_780_272_000, 1, 2)),
    ):
        (folder / name).mkdir(parents=True)
        table(folder / name / "BTCTRY.csv", header, [row])
    assert btcbot(tmp_path, "data", "verify", folder).returncode == exits.OK
    assert btcbot(tmp_path, "data", "import", "old", folder).returncode == exits.OK
    assert dataset(tmp_path, "old").channels(PAIR) == {Channel.CANDLES, Channel.QUOTES}

    (folder / "orderbook" / "BTCTRY.csv").unlink()
    done = btcbot(tmp_path, "data", "import", "older", folder)
    assert done.returncode == exits.PROBLEM
    assert "missing_orderbook_files" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("import", "x"), exits.USAGE, "name a file or a folder"),
        (("import", "../x", "--raw"), exits.NOT_FOUND, "recorders under"),
        (("import", "x", "nowhere.csv"), exits.USAGE, "--pair"),
        (("import", "x", "nowhere.csv", "--pair", "BTCTRY"), exits.PROBLEM, "nowhere.csv"),
        (("init", "a/b"), exits.USAGE, "names no data set"),
        (("init", "x", "--pairs", ","), exits.USAGE, "--pairs"),
        (("gaps", "none"), exits.NOT_FOUND, "there are: none"),
        (("list", "none"), exits.NOT_FOUND, "no data set 'none'"),
        (("verify", "none"), exits.NOT_FOUND, "no data set 'none'"),
        (("capture", "a/b"), exits.USAGE, "names no data set"),
    ],
)
def test_what_cannot_be_done_says_why(
    tmp_path: Path, arguments: tuple[str, ...], code: int, says: str
) -> None:
    done = btcbot(tmp_path, "data", *arguments)
    assert (done.returncode, says in done.stderr) == (code, True), done.stderr


def test_a_synthetic_set_is_made_once_and_the_same_for_the_same_seed(tmp_path: Path) -> None:
    for name in ("a", "b"):
        home = tmp_path / name
        home.mkdir()
        arguments = ("init", "x", "--rows", 20, "--pairs", "BTCTRY,ETHTRY", "--seed", 7)
        assert btcbot(home, "data", *arguments).returncode == exits.OK
    first, second = (_files(tmp_path / name / "data") for name in ("a", "b"))
    assert first == second
    assert any("ETHTRY" in name for name in first)
    assert [rules.pair for rules in load(tmp_path / "a/data/sets/x").rules] == ["BTCTRY", "ETHTRY"]
    done = btcbot(tmp_path / "a", "data", "init", "x")
    assert done.returncode == exits.REFUSED
    assert _files(tmp_path / "a" / "data") == second


def _files(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_without_the_library_it_says_what_to_install_and_the_rest_works(tmp_path: Path) -> None:
    path = trades(tmp_path / "trades.csv", 3_000)
    btcbot(tmp_path, "data", "import", "mine", path, "--pair", "BTCTRY")

    for arguments in (
        ("data", "list"),
        ("data", "init", "x"),
        ("data", "import", "x", path, "--pair", "BTCTRY"),
        ("backtest", "-s", "ema_cross", "--data", "mine"),
        ("backtest", "-s", "ema_cross", "--data", tmp_path / "x.parquet"),
    ):
        (tmp_path / "x.parquet").touch()
        done = btcbot(tmp_path, *arguments, without_polars=True)
        assert done.returncode == exits.CONFIG, done.stderr
        assert "pip install 'btcbot[research]'" in done.stderr
    played = btcbot(tmp_path, "backtest", "-s", "ema_cross", "--data", path, without_polars=True)
    assert played.returncode == exits.OK, played.stderr


# --- the exchange -------------------------------------------------------------------------------


def settings(url: str) -> dict[str, str]:
    return {"BTCBOT__EXCHANGE__REST_URL": url}


def test_history_is_fetched_once_and_marked_as_backfill(exchange: str, tmp_path: Path) -> None:
    def fetched(*more: str) -> dict[str, Any]:
        done = btcbot(
            tmp_path,
            "data",
            "fetch",
            "past",
            "--days",
            "0.1",
            "--json",
            *more,
            url=exchange,
        )
        assert done.returncode == exits.OK, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    first = fetched()
    again = fetched()

    assert 2 * 142 <= first["candles"] <= 2 * 145
    assert 2 * 25 <= first["trades"] <= 2 * 50  # Lists of 50, as far as a young market filled them.
    assert again["candles"] <= 4  # Those that closed meanwhile.
    past = dataset(tmp_path, "past")
    assert {part.provenance for part in past.manifest.parts} == {Provenance.BACKFILL}
    for pair in past.pairs:
        ids = [row.trade_id for row in past.rows(pair, (Channel.TRADES,))]  # type: ignore[union-attr]
        opens = [row.open_ns for row in past.rows(pair, (Channel.CANDLES,))]  # type: ignore[union-attr]
        assert ids == sorted(set(ids))  # type: ignore[type-var]
        assert opens == sorted(set(opens))
        assert {late - early for early, late in pairwise(opens)} == {60 * 10**9}


def test_a_fetch_never_replaces_what_was_recorded_live(exchange: str, tmp_path: Path) -> None:
    live = trade(0, 1)
    moment = type(live)(
        at_ns=START + 86_400 * 10**9 * 400, side=live.side, price=live.price, quantity=live.quantity
    )
    folder = tmp_path / "data" / "sets" / "both"
    written(folder, [live, moment], Provenance.LIVE)

    done = btcbot(
        tmp_path,
        "data",
        "fetch",
        "both",
        "--days",
        "0.01",
        "--json",
        "--pairs",
        "BTCTRY",
        url=exchange,
    )

    assert done.returncode == exits.OK, done.stderr
    # How many trades fall into those minutes is the market's to say.
    assert json.loads(done.stdout)["known_already"] > 0
    assert list(Dataset(folder).rows(PAIR, (Channel.TRADES,))) == [live, moment]


def test_an_exchange_that_is_not_there_is_exit_3(tmp_path: Path) -> None:
    done = btcbot(tmp_path, "data", "fetch", "past", url="http://127.0.0.1:9")
    assert done.returncode == exits.NOT_RUNNING
    assert "goes on from there" in done.stderr
    assert not (tmp_path / "data" / "sets" / "past").exists()


def heard(home: Path, name: str) -> bool:
    raw = home / "data" / "sets" / name / "raw" / "record"
    return sum(path.stat().st_size for path in raw.glob("*.seg")) > 5_000


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_capture_ended_at_any_time_is_a_valid_data_set(
    exchange: str, tmp_path: Path, how: signal.Signals
) -> None:
    given = {"BTCBOT__HOME": str(tmp_path), **settings(exchange)}
    with program("data", "capture", "live", settings=given) as capture:
        wait_for(lambda: heard(tmp_path, "live"), "hearing the market")
        busy = btcbot(tmp_path, "data", "capture", "live", url=exchange)
        capture.send_signal(how)
        capture.wait(60)

    assert busy.returncode == exits.TRY_LATER, busy.stderr
    verified = btcbot(tmp_path, "data", "verify", "live")
    assert verified.returncode == exits.OK, verified.stdout + verified.stderr
    live = dataset(tmp_path, "live")
    assert live.pairs == ["BTCTRY", "ETHTRY"]
    # Depth is stated at once; whether anybody traded before the end is the market's affair.
    assert {Channel.DEPTH} <= live.channels(PAIR) <= {Channel.DEPTH, Channel.TRADES}
    assert {one.provenance for one in live.manifest.intervals} == {Provenance.LIVE}
    assert [rules.pair for rules in live.manifest.rules] == ["BTCTRY", "ETHTRY"]
    assert _played(tmp_path, "live")["data_gaps"] == 0


def test_a_second_capture_goes_on_with_the_set_and_the_time_between_is_a_gap(
    exchange: str, tmp_path: Path
) -> None:
    for _ in range(2):
        done = btcbot(
            tmp_path,
            "data",
            "capture",
            "live",
            "--seconds",
            "4",
            "--every",
            "1",
            url=exchange,
        )
        assert done.returncode == exits.OK, done.stderr

    gaps = json.loads(btcbot(tmp_path, "data", "gaps", "live", "--json").stdout)["gaps"]
    causes = {(gap["pair"], gap["channel"]): gap["cause"] for gap in gaps}
    assert causes["BTCTRY", "depth"] == causes["ETHTRY", "depth"] == "recorder down"
    assert btcbot(tmp_path, "data", "verify", "live").returncode == exits.OK


def test_what_was_recorded_is_converted_and_then_only_what_is_new(
    exchange: str, tmp_path: Path
) -> None:
    given = {"BTCBOT__HOME": str(tmp_path), **settings(exchange)}
    raw = tmp_path / "data" / "raw" / "record"
    with program("record", settings=given):
        wait_for(lambda: sum(p.stat().st_size for p in raw.glob("*.seg")) > 5_000, "hearing")
        first = btcbot(tmp_path, "data", "import", "day", "--raw", "--json")
    assert first.returncode == exits.OK, first.stderr
    second = btcbot(tmp_path, "data", "import", "day", "--raw", "--json")
    third = btcbot(tmp_path, "data", "import", "day", "--raw", "--json")

    assert json.loads(first.stdout)["records"] > 5
    assert json.loads(second.stdout)["known_already"] == 0
    assert json.loads(third.stdout)["records"] == json.loads(third.stdout)["rows"] == 0
    assert btcbot(tmp_path, "data", "verify", "day").returncode == exits.OK


# --- progress -----------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("options", "is_terminal", "wait_s", "is_shown"),
    [
        (Options(), True, 0.0, True),
        (Options(), True, 3_600.0, False),  # What takes no longer needs no bar.
        (Options(), False, 0.0, False),
        (Options(is_json=True), True, 0.0, False),
        (Options(verbosity=-1), True, 0.0, False),
    ],
)
def test_a_bar_is_shown_on_a_terminal_when_it_takes_a_while(
    monkeypatch: pytest.MonkeyPatch,
    options: Options,
    is_terminal: bool,
    wait_s: float,
    is_shown: bool,
) -> None:
    said = Terminal() if is_terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)
    monkeypatch.setattr(data_sets, "WAIT_S", wait_s)

    with data_sets.progress(options, "counting", 10) as tell:
        tell(3)
        tell(4)

    assert ("counting" in said.getvalue()) == is_shown
