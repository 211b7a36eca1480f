"""A recording that cannot be used is refused by file, row, what was found and what is allowed."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from btcbot.cli import exits
from btcbot.cli.sources import source_of_files
from btcbot.domain.ids import Pair
from btcbot.domain.instruments import DOCUMENTED
from btcbot.domain.recorded import DatasetError
from btcbot.simulation.recording import open_recording
from tests.backtest.conftest import Backtest
from tests.backtest.tapes import (
    QUOTES,
    START_NS,
    TRADES,
    candle_rows,
    depth_rows,
    quote_rows,
    write,
)

GOOD_QUOTE = f"{START_NS},3999000,0.5,4001000,0.5"
GOOD_TRADE = f"{START_NS},buy,4000000,0.5"
CANDLES = "open_ms,open,high,low,close,volume"
MS = START_NS // 10**6


def frame(stream: str, **data: object) -> str:
    return f"{START_NS + 1} " + json.dumps({"stream": stream, "data": data})


def snapshot(bid: str = "3999000", ask: str = "4001000") -> str:
    book = {"lastUpdateId": 5, "bids": [[bid, "1"]], "asks": [[ask, "1"]]}
    return f"{START_NS} {json.dumps(book)}"


def refused(*paths: Path) -> str:
    """Read a recording to its end; return why it was refused."""
    with pytest.raises(DatasetError) as caught:
        list(open_recording(source_of_files(paths), DOCUMENTED[Pair("BTCTRY")]).events)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "rows", "said"),
    [
        ("q.csv", [QUOTES, f"{START_NS},1,1"], ["row 2", "3 cells", "has 5"]),
        ("q.csv", [QUOTES, GOOD_QUOTE, GOOD_QUOTE.replace("0.5", "NaN")], ["row 3", "'NaN'"]),
        ("q.csv", [QUOTES, GOOD_QUOTE.replace("0.5", "inf")], ["row 2", "'inf'", "allowed"]),
        ("q.csv", [QUOTES, GOOD_QUOTE.replace("0.5", "1e3")], ["row 2", "'1e3'", "allowed"]),
        ("q.csv", [QUOTES, GOOD_QUOTE.replace("0.5", "-1")], ["row 2", "'-1'", "more than 0"]),
        ("q.csv", [QUOTES, GOOD_QUOTE.replace("0.5", "")], ["row 2", "''", "allowed"]),
        (
            "q.csv",
            [QUOTES, f"{START_NS},4001000,1,4001000,1"],
            ["row 2", "bid 4001000, ask 4001000", "below the ask"],
        ),
        (
            "q.csv",
            [QUOTES, GOOD_QUOTE, f"{START_NS - 1},3999000,1,4001000,1"],
            ["row 3", f"from {START_NS} to {START_NS - 1}", "must not go back"],
        ),
        ("q.csv", [QUOTES, f"{MS},3999000,1,4001000,1"], ["row 2", str(MS), "another unit"]),
        ("q.csv", [QUOTES, "yesterday,3999000,1,4001000,1"], ["row 2", "'yesterday'", "digits"]),
        ("q.csv", [QUOTES], ["nothing here states a price"]),
        ("q.csv", [], ["columns none", "supported", "recv_ns, bid"]),
        ("q.csv", ["a,b", "1,2"], ["columns a, b", "supported", "recv_ns, taker_side"]),
        ("q.csv", [QUOTES, '"'], ["row", "unexpected end of data"]),
        ("t.csv", [TRADES, GOOD_TRADE.replace("buy", "BUY")], ["row 2", "'BUY'", "buy, sell"]),
        ("t.csv", [TRADES, f"{START_NS},buy,0,1"], ["row 2", "'0'", "more than 0"]),
        ("t.csv", [TRADES, GOOD_TRADE, GOOD_TRADE[:9]], ["row 3", "1 cells", "has 4"]),
        (
            "c.csv",
            [CANDLES, f"{MS},10,9,8,9,1"],
            ["row 2", "open 10, high 9, low 8, close 9", "low <= open"],
        ),
        (
            "c.csv",
            [CANDLES, f"{MS},9,9,9,9,1", f"{MS},9,9,9,9,1"],
            ["row 3", "candles must rise in time"],
        ),
        ("c.csv", [CANDLES, f"{MS},9,9,9,9,-1"], ["row 2", "'-1'", "0 or more"]),
        ("c.csv", [CANDLES.replace("open_ms", "datetime"), "noon,9,9,9,9,1"], ["row 2", "noon"]),
        ("l.jsonl", ["{}"], ["row 1", "not a time"]),
        ("l.jsonl", [f"{START_NS} nonsense"], ["row 1", "nonsense", "RECEIVE_TIME_NS"]),
        ("l.jsonl", [f"{START_NS} " + "{}"], ["row 1", "lastUpdateId"]),
        (
            "l.jsonl",
            [snapshot(), frame("x@trade", p="NaN", q="1", m=True)],
            ["row 2", "'NaN'", "allowed"],
        ),
        ("l.jsonl", [snapshot(), frame("x@trade", p=1, q="1", m=True)], ["row 2", "`$.p`"]),
        (
            "l.jsonl",
            [snapshot(), frame("x@depth", U=7, u=8, b=[], a=[])],
            ["row 2", "depth updates 6 to 6 are missing"],
        ),
        (
            "l.jsonl",
            [snapshot(), frame("x@depth", U=6, u=6, b=[["4001000", "1"]], a=[])],
            ["row 2", "bid 4001000, ask 4001000", "below the ask"],
        ),
        ("l.jsonl", [snapshot("4001000", "3999000")], ["row 1", "bid 4001000, ask 3999000"]),
        ("l.jsonl", [], ["nothing here states a price"]),
        ("x.feather", ["anything"], [".feather", "supported", ".jsonl.gz"]),
        ("noname", ["anything"], ["without a suffix", "supported"]),
    ],
)
def test_a_defect_is_named_by_file_row_found_and_allowed(
    tmp_path: Path, name: str, rows: list[str], said: list[str]
) -> None:
    path = write(tmp_path / name, rows)

    text = refused(path)

    assert str(path) in text
    for part in said:
        assert part in text, text


def test_a_defect_deep_in_the_file_is_found_at_its_own_row(tmp_path: Path) -> None:
    rows = candle_rows(count=300)
    rows[250] = rows[250].replace(",2.5", ",two")

    assert "row 251" in refused(write(tmp_path / "c.csv", rows))


def test_the_second_of_two_files_is_named(tmp_path: Path) -> None:
    first = write(tmp_path / "first.csv", quote_rows(seconds=5))
    second = write(tmp_path / "second.csv", quote_rows(seconds=5))

    text = refused(first, second)

    assert f"{second}, row 2" in text
    assert "must not go back" in text


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flipped(content: bytes) -> bytes:
    return content[:-6] + bytes([content[-6] ^ 1]) + content[-5:]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (cut, "ended before"),
        (flipped, "CRC check failed"),
        (lambda _: b"plain text", "Not a gzipped file"),
        (lambda _: b"", "columns none"),
        (lambda _: gzip.compress(b"\xff\xfe\x00"), "utf-8"),
    ],
)
def test_a_gzip_file_that_is_damaged_is_refused(
    tmp_path: Path, damage: Callable[[bytes], bytes], said: str
) -> None:
    path = write(tmp_path / "q.csv.gz", quote_rows(seconds=2_000))
    path.write_bytes(damage(path.read_bytes()))

    text = refused(path)

    assert str(path) in text
    assert said in text


def test_a_file_that_is_missing_or_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()

    assert "No such file" in refused(tmp_path / "none.csv")
    assert "No such file" in refused(tmp_path / "none.jsonl")
    assert "Is a directory" in refused(tmp_path / "folder.csv")


@pytest.mark.parametrize("name", ["missing.csv", "empty.csv", "broken.csv", "cut.jsonl.gz"])
def test_the_command_ends_with_78_says_why_and_leaves_nothing_that_looks_complete(
    backtest: Backtest, tmp_path: Path, name: str
) -> None:
    write(tmp_path / "empty.csv", [])
    write(tmp_path / "broken.csv", [*quote_rows(seconds=60), "what,is,this"])
    whole = write(tmp_path / "cut.jsonl.gz", depth_rows(seconds=60))
    whole.write_bytes(cut(whole.read_bytes()))

    done = backtest("--data", tmp_path / name, "--out", tmp_path / "out", "--json")

    assert done.returncode == exits.CONFIG
    assert done.stdout == ""
    assert f"btcbot: --data: {tmp_path / name}" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())
