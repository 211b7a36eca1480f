"""Real recordings into a data set and back: nothing is lost, and the known facts hold."""

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from btcbot.catalog.dataset import Dataset
from btcbot.catalog.defects import Defect
from btcbot.catalog.importing import import_files
from btcbot.catalog.joining import Joiner
from btcbot.catalog.manifest import Manifest
from btcbot.catalog.rows import Candle, Channel, Depth, Provenance, Quote, Row, Trade
from btcbot.catalog.synthetic import candle_of
from btcbot.catalog.verify import verify_set
from btcbot.catalog.writer import Writer
from btcbot.domain.ids import Pair
from btcbot.domain.words import Side
from tests.catalog.markets import PLAIN, SHARED, needs_recordings

pytestmark = needs_recordings
PAIR = Pair("BTCUSDT")
L2 = [SHARED / "l2" / f"btcusdt_spot_202408{day}.jsonl.gz" for day in ("08", "09")]


def imported(folder: Path, *paths: Path) -> Dataset:
    folder.mkdir()
    writer = Writer(folder, Manifest(name="x"), Provenance.IMPORTED)
    assert import_files(paths, PAIR, writer, PLAIN) == []
    writer.commit()
    return Dataset(folder)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return imported(tmp_path_factory.mktemp("l2") / "set", *L2)


def said(row: Row) -> list[Any]:
    """Return a row as the exchange's frame said it: values, not their spelling."""
    if isinstance(row, Depth):
        sides = [
            [(Decimal(p), Decimal(a)) for p, a in _pairs(side)] for side in (row.bids, row.asks)
        ]
        return [row.at_ns, row.event_ns, row.first, row.last, row.is_snapshot, *sides]
    if isinstance(row, Trade):
        is_buy = row.side is Side.BUY
        return [
            row.at_ns,
            row.event_ns,
            row.traded_ns,
            row.trade_id,
            is_buy,
            row.price,
            row.quantity,
        ]
    assert isinstance(row, Quote)
    return [row.at_ns, row.update_id, row.bid, row.bid_quantity, row.ask, row.ask_quantity]


def _pairs(side: Any) -> Iterator[tuple[str, str]]:
    return ((level.price, level.amount) for level in side)


def frames() -> Iterator[list[Any]]:
    """Yield every frame of the files, read without any code of ours."""
    for path in L2:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                stamp, _, text = line.partition(" ")
                frame = json.loads(text)
                yield _frame(int(stamp), frame.get("stream", ""), frame.get("data", frame))


def _frame(at_ns: int, stream: str, body: dict[str, Any]) -> list[Any]:
    if "@depth" in stream or not stream:
        sides = [
            [(Decimal(p), Decimal(a)) for p, a in body[name]]
            for name in (("b", "a") if stream else ("bids", "asks"))
        ]
        if not stream:
            return [at_ns, None, body["lastUpdateId"], body["lastUpdateId"], True, *sides]
        return [at_ns, body["E"] * 10**6, body["U"], body["u"], False, *sides]
    if "@trade" in stream:
        figures = [Decimal(body["p"]), Decimal(body["q"])]
        times = [at_ns, body["E"] * 10**6, body["T"] * 10**6]
        return [*times, body["t"], not body["m"], *figures]
    return [at_ns, body["u"], *(Decimal(body[name]) for name in "bBaA")]


def test_a_full_depth_recording_comes_back_frame_by_frame_as_it_was(recording: Dataset) -> None:
    count = 0
    for count, (row, frame) in enumerate(
        zip(recording.rows(PAIR, list(Channel)), frames(), strict=True), 1
    ):
        assert said(row) == frame, f"frame {count}"
    assert count == 41_249 + 58_325


def test_it_is_kept_by_channel_pair_and_utc_day(recording: Dataset) -> None:
    rows = {part.path: part.rows for part in recording.manifest.parts}

    assert {path.rpartition("/")[0] for path in rows} == {
        f"{channel}/BTCUSDT/2024-08-{day}"
        for channel in ("depth", "quotes", "trades")
        for day in ("08", "09")
    }
    assert sum(rows.values()) == 99_574
    assert recording.gaps() == []
    assert list(verify_set(recording, PLAIN)) == []


def test_it_rebuilds_its_book_and_agrees_with_every_top_of_book(recording: Dataset) -> None:
    joiner, sides = Joiner(), ({}, {})  # type: tuple[Joiner, tuple[dict[Decimal, Decimal], ...]]
    tops: dict[int, Quote] = {}
    counts = Counter[str]()
    for row in recording.rows(PAIR, (Channel.DEPTH, Channel.QUOTES)):
        if isinstance(row, Quote):
            assert row.update_id is not None
            tops[row.update_id] = row
            continue
        assert isinstance(row, Depth)
        for one in joiner.take(row):
            _apply(one, sides)
            bid, ask = max(sides[0]), min(sides[1])
            counts["crossed"] += bid >= ask
            if one.is_snapshot:
                continue
            counts["applied"] += 1
            counts["levels"] += len(one.bids) + len(one.asks)
            if top := tops.get(one.last):
                counts["met"] += 1
                figures = (bid, sides[0][bid], ask, sides[1][ask])
                counts["agreed"] += figures == (
                    top.bid,
                    top.bid_quantity,
                    top.ask,
                    top.ask_quantity,
                )

    assert counts == {
        "crossed": 0, "applied": 6_493, "levels": 298_094, "met": 1_072, "agreed": 1_072,
    }  # fmt: skip
    assert joiner.last == 50_093_696_318
    bid, ask = max(sides[0]), min(sides[1])
    assert (bid, sides[0][bid]) == (Decimal("61602.01"), Decimal("1.67177"))
    assert (ask, sides[1][ask]) == (Decimal("61602.02"), Decimal("2.66795"))
    assert (len(sides[0]), len(sides[1])) == (1_971, 2_962)


def _apply(row: Depth, sides: tuple[dict[Decimal, Decimal], ...]) -> None:
    for side, levels in zip(sides, (row.bids, row.asks), strict=True):
        if row.is_snapshot:
            side.clear()
        for level in levels:
            if amount := Decimal(level.amount):
                side[Decimal(level.price)] = amount
            else:
                side.pop(Decimal(level.price), None)


@pytest.mark.parametrize(
    ("name", "rows", "missing"),
    [
        ("candles_1m/btc_perp_1m_20211231_20220201.csv.gz", 45_031, []),
        ("candles_1m/bitstamp_btcusd_1m_20200101.csv", 1_440, []),
        ("candles_1d/binance_btcusdt_1d_2020.csv", 366, []),
        ("candles_5m/ethbtc_5m_20180110.csv.gz", 5_760, []),
        ("candles_5m/xmrbtc_5m_20180110.csv.gz", 5_758, [1, 1]),
        ("candles_5m/adabtc_5m_20180110.csv.gz", 5_720, [1, 1, 4, 1, 33]),
        ("ticks/btcusdt_spot_20240808T2354_trades.csv.gz", 19_904, []),
        ("ticks/btcusdt_spot_20240808T2354_top.csv.gz", 73_174, []),
        ("ticks/btcusdt_spot_20240808T2354_depth_snapshot.csv.gz", 1, []),
        ("ticks/btcusdt_trades_20210108.parquet", 2_001, []),
        ("ticks/btcusdt_quotes_20210108.parquet", 451, []),
    ],
)
def test_every_form_is_imported_whole_with_the_gaps_it_is_known_to_have(
    tmp_path: Path, name: str, rows: int, missing: list[int]
) -> None:
    dataset = imported(tmp_path / "set", SHARED / name)

    assert sum(part.rows for part in dataset.manifest.parts) == rows
    spans = [(gap.to_ns - gap.from_ns) // (300 * 10**9) for gap in dataset.gaps()]
    assert spans == missing
    [source] = dataset.manifest.sources
    sums = (SHARED / "SHA256SUMS").read_text(encoding="utf-8").split()
    assert source.sha256 in sums


def test_the_tables_made_from_the_recording_say_the_same_as_it(
    tmp_path: Path, recording: Dataset
) -> None:
    for channel, name in ((Channel.TRADES, "trades"), (Channel.QUOTES, "top")):
        path = SHARED / "ticks" / f"btcusdt_spot_20240808T2354_{name}.csv.gz"
        table = imported(tmp_path / name, path)
        assert list(table.rows(PAIR, (channel,))) == list(recording.rows(PAIR, (channel,)))


def test_trades_rebuild_candles_exactly(tmp_path: Path, recording: Dataset) -> None:
    """Minutes built from the files' text by other means than from the data set's trades."""
    minute = 60 * 10**9
    built: dict[int, list[Trade]] = {}
    for row in recording.rows(PAIR, (Channel.TRADES,)):
        assert isinstance(row, Trade)
        built.setdefault(row.at_ns // minute, []).append(row)
    candles = [candle_of(rows, key * minute, minute) for key, rows in built.items()]
    expected: dict[int, list[Decimal]] = {}
    for frame in frames():
        if len(frame) != 7 or isinstance(frame[5], list):
            continue  # No trade.
        paid, size = frame[5], frame[6]
        figures = expected.setdefault(frame[0] // minute, [paid, paid, paid, paid, Decimal(0)])
        figures[1], figures[2], figures[3] = max(figures[1], paid), min(figures[2], paid), paid
        figures[4] += size

    folder = tmp_path / "candles"
    folder.mkdir()
    writer = Writer(folder, Manifest(name="c"), Provenance.IMPORTED)
    for made in candles:
        writer.add(PAIR, made)
    writer.commit()
    kept = list(Dataset(folder).rows(PAIR, (Channel.CANDLES,)))

    assert len(kept) == 12
    for one in kept:
        assert isinstance(one, Candle)
        held = [one.open, one.high, one.low, one.close, one.volume]
        assert held == expected[one.open_ns // minute]


def test_a_truncated_copy_is_refused_and_nothing_is_kept(tmp_path: Path) -> None:
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(L2[0].read_bytes()[:400_000])
    folder = tmp_path / "set"
    folder.mkdir()
    writer = Writer(folder, Manifest(name="x"), Provenance.IMPORTED)

    defects: list[Defect] = import_files([cut], PAIR, writer, PLAIN)
    writer.abandon()

    [defect] = defects
    assert defect.flaw == "truncated"
    assert defect.row > 1_000
    assert list(folder.iterdir()) == []
