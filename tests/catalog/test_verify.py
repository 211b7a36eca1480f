"""Every kind of defect is named by file, row and reason, before and after importing."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from btcbot.catalog.dataset import Dataset
from btcbot.catalog.defects import Defect, Flaw
from btcbot.catalog.manifest import load, save
from btcbot.catalog.rows import Channel, Provenance, Row
from btcbot.catalog.verify import verify_files, verify_segments, verify_set
from btcbot.domain.recorded import DatasetError
from tests.catalog.markets import (
    MINUTE,
    PAIR,
    PLAIN,
    SECOND,
    START,
    candle,
    change,
    depth,
    quote,
    recorded,
    snapshot,
    table,
    trade,
    written,
)

TRADES = "recv_ns,trade_id,price,qty,taker_side"
QUOTES = "recv_ns,update_id,bid,bid_qty,ask,ask_qty"
CANDLES = "open_ms,open,high,low,close,volume"


def found(*paths: Path) -> list[tuple[int, str]]:
    return [(defect.row, defect.flaw) for defect in verify_files(paths, PLAIN)]


def one(*paths: Path) -> Defect:
    [defect] = verify_files(paths, PLAIN)
    return defect


def trades(tmp_path: Path, *rows: Sequence[object]) -> Path:
    return table(tmp_path / "trades.csv", TRADES, rows)


def test_a_sound_file_has_no_defects(tmp_path: Path) -> None:
    rows = [(START + n, 7 + n, "1.5", "2", "buy") for n in range(5)]
    assert found(trades(tmp_path, *rows)) == []


@pytest.mark.parametrize("bad", ["NaN", "-1", "0", "1e5", "", "inf", "1_0", "٣"])
def test_what_is_no_price_is_named_and_the_rest_is_still_read(tmp_path: Path, bad: str) -> None:
    good = (START, 1, "1", "1", "buy")
    path = trades(tmp_path, good, (START, 2, bad, "1", "buy"), (START, 3, "1", bad, "buy"),
                  (START, 3, "1", "1", "buy"))  # fmt: skip

    defects = list(verify_files([path], PLAIN))

    assert [(d.row, d.flaw) for d in defects] == [(3, "value"), (4, "value"), (5, "gap")]
    assert str(defects[0]).startswith(f"{path}, row 3: value: ")


def test_disorder_duplicates_and_missing_trades_are_told_apart(tmp_path: Path) -> None:
    path = trades(
        tmp_path,
        (START + 5, 1, "1", "1", "buy"),
        (START + 4, 2, "1", "1", "buy"),
        (START + 6, 2, "1", "1", "sell"),
        (START + 7, 5, "1", "1", "sell"),
        (START + 8, 6, "1", "1", "neither"),
        ("5", 7, "1", "1", "sell"),
    )
    expected = [(3, "disorder"), (4, "duplicate"), (5, "gap"), (6, "value"), (7, "value")]
    assert found(path) == expected


def test_crossed_quotes_and_repeated_updates_are_named(tmp_path: Path) -> None:
    rows = [(START, 1, 100, 1, 101, 1), (START, 2, 101, 1, 101, 1), (START, 2, 100, 1, 101, 1)]
    assert found(table(tmp_path / "q.csv", QUOTES, rows)) == [(3, "crossed"), (4, "duplicate")]


def test_candles_with_a_high_below_a_low_with_holes_or_twice_are_named(tmp_path: Path) -> None:
    times = [START // 10**6 + n * 60_000 for n in (0, 1, 2, 3, 3, 7)]
    rows: list[list[object]] = [[at, 5, 9, 1, 6, 2] for at in times]
    rows[1][2], rows[2][1] = 0.5, 10
    path = table(tmp_path / "c.csv", CANDLES, rows)

    defects = list(verify_files([path], PLAIN))

    assert [(d.row, d.flaw) for d in defects] == [
        (3, "high_low"), (4, "high_low"), (6, "duplicate"), (7, "gap"),
    ]  # fmt: skip
    assert defects[-1].reason == "3 candles are missing"


def l2(path: Path, *frames: tuple[str, object]) -> Path:
    lines = []
    for n, (stream, body) in enumerate(frames):
        frame = {"stream": stream, "data": body} if stream else body
        lines.append(f"{START + n} {json.dumps(frame)}\n")
    path.write_bytes(gzip.compress("".join(lines).encode()))
    return path


def moved(first: int, last: int, ask: str = "101", amount: str = "1") -> tuple[str, object]:
    body = {"E": START // 10**6, "U": first, "u": last, "b": [], "a": [[ask, amount]]}
    return "x@depth@100ms", body


BEGUN = ("", {"lastUpdateId": 10, "bids": [["100", "1"]], "asks": [["101", "1"]]})


def test_a_book_that_crosses_or_misses_changes_is_named(tmp_path: Path) -> None:
    frames = [BEGUN, moved(11, 12), moved(13, 13, "99"), moved(13, 13), moved(15, 15)]
    defects = list(verify_files([l2(tmp_path / "x.jsonl.gz", *frames)], PLAIN))
    told = [(d.row, d.flaw, d.reason) for d in defects]
    assert told == [
        (3, "crossed", "bid 100, ask 99: the bid must be below the ask"),
        (4, "duplicate", "changes to 13 after changes to 13"),
        (5, "gap", "depth updates 14 to 14 are missing"),
    ]


def test_changes_that_a_snapshot_has_already_are_no_defect(tmp_path: Path) -> None:
    frames = [moved(8, 9), moved(10, 11), BEGUN, moved(12, 12)]
    assert found(l2(tmp_path / "x.jsonl.gz", *frames)) == []


def test_a_file_that_is_cut_off_is_named_with_how_far_it_goes(tmp_path: Path) -> None:
    rows = [(START + n, n + 1, "1.5", n + 1, "buy") for n in range(3_000)]
    whole = table(tmp_path / "t.csv", TRADES, rows).read_bytes()
    cut = tmp_path / "t.csv.gz"
    cut.write_bytes(gzip.compress(whole)[:5_000])

    defect = one(cut)

    assert defect.flaw is Flaw.TRUNCATED
    assert defect.row > 100
    assert str(cut) in defect.reason


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("x.txt", b"", "no form that is read"),
        ("x.csv", b"a,b\n1,2\n", "columns a, b; supported: recv_ns"),
        ("x.csv", b"", "columns none"),
        ("x.csv.gz", b"not gzip", "x.csv.gz"),
        ("x.parquet", b"PAR1 and no more", "x.parquet"),
        ("x.csv", b"recv_ns,trade_id,price,qty,taker_side\n\xff\xfe", "x.csv"),
    ],
)
def test_what_is_no_recording_is_named(
    tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert says in str(one(path))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "no-such.csv" in str(one(tmp_path / "no-such.csv"))


# --- data sets ----------------------------------------------------------------------------------


def of_set(folder: Path, rows: Sequence[Row]) -> list[tuple[str, int, str]]:
    dataset = written(folder, rows)
    return [(Path(d.file).name, d.row, d.flaw) for d in verify_set(dataset, PLAIN)]


def test_a_sound_data_set_has_no_defects(tmp_path: Path) -> None:
    assert of_set(tmp_path / "x", [trade(0, 1), trade(1, 2), candle(0), quote(3)]) == []


@pytest.mark.parametrize(
    ("rows", "flaw"),
    [
        ([trade(0, 2), trade(1, 2)], "duplicate"),
        ([quote(0, "102", "101")], "crossed"),
        ([candle(0, ("5", "4", "1", "4"))], "high_low"),
        ([depth(0, (1, 1), [("9", "1")], [("8", "1")], is_snapshot=True)], "crossed"),
    ],
)
def test_defects_that_got_into_a_data_set_are_named_by_part_and_row(
    tmp_path: Path, rows: list[Row], flaw: str
) -> None:
    assert of_set(tmp_path / "x", rows) == [("0001.parquet", len(rows), flaw)]


def test_a_part_that_was_changed_cut_or_taken_away_is_named(tmp_path: Path) -> None:
    rows: list[Row] = [*(trade(n, n + 1) for n in range(50)), quote(), candle(0)]
    dataset = written(tmp_path / "x", rows)
    paths = {part.channel: dataset.folder / part.path for part in dataset.manifest.parts}
    changed = bytearray(paths[Channel.QUOTES].read_bytes())
    changed[40] ^= 1
    paths[Channel.QUOTES].write_bytes(changed)
    paths[Channel.TRADES].write_bytes(paths[Channel.TRADES].read_bytes()[:-100])
    paths[Channel.CANDLES].unlink()

    told = {Path(d.file).parts[-4]: d.flaw for d in verify_set(dataset, PLAIN)}

    assert told["trades"] == "truncated"
    assert told["candles"] == "missing"
    assert told["quotes"] in {"hash", "form"}
    with pytest.raises(DatasetError):
        list(dataset.rows(PAIR, (Channel.CANDLES,)))


def test_a_part_in_the_place_of_another_is_named_by_its_hash(tmp_path: Path) -> None:
    mine = written(tmp_path / "x", [trade(0, 1)])
    theirs = written(tmp_path / "y", [trade(0, 1, "999")])
    name = mine.manifest.parts[0].path
    (mine.folder / name).write_bytes((theirs.folder / name).read_bytes())

    [defect] = [d for d in verify_set(mine, PLAIN) if d.flaw is Flaw.HASH]
    assert defect.file.endswith(name)


def test_a_part_with_fewer_rows_than_the_manifest_says_is_named(tmp_path: Path) -> None:
    dataset = written(tmp_path / "x", [trade(0, 1)])
    manifest = load(dataset.folder)
    [part] = manifest.parts
    wrong = msgspec.structs.replace(manifest, parts=(msgspec.structs.replace(part, rows=2),))
    save(dataset.folder, wrong)
    [defect] = verify_set(Dataset(dataset.folder), PLAIN)
    assert (defect.flaw, defect.reason) == ("missing", "1 rows, expected 2")


def test_a_gap_is_a_defect_where_nobody_knows_why_it_is_there(tmp_path: Path) -> None:
    written(tmp_path / "x", [candle(0)])
    dataset = written(tmp_path / "x", [candle(5)])
    [defect] = verify_set(dataset, PLAIN)
    assert defect.flaw is Flaw.GAP
    assert "20260601T000100" in defect.reason
    assert (dataset.gaps()[0].to_ns - START) // MINUTE == 5


def test_what_an_exchange_numbers_with_holes_is_no_gap(tmp_path: Path) -> None:
    dataset = written(tmp_path / "x", [trade(0, 10), trade(1, 20)], Provenance.LIVE)
    assert list(verify_set(dataset, PLAIN)) == []


def test_raw_segments_are_looked_through(tmp_path: Path) -> None:
    recorded(tmp_path, [(0, 1, snapshot(1)), (1, 1, change(2))])
    recorded(tmp_path, [(10, 1, snapshot(1))], life=10)
    first, last = sorted(tmp_path.glob("*.seg"))
    assert list(verify_segments(tmp_path)) == []

    last.write_bytes(last.read_bytes()[:-5])  # The newest may be at work.
    assert list(verify_segments(tmp_path)) == []
    first.write_bytes(first.read_bytes()[:-5])
    [defect] = verify_segments(tmp_path)
    assert (defect.file, defect.flaw) == (str(first), "truncated")
    assert SECOND > defect.row == 2
