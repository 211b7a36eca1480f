"""The forms a recording may have, and what each is made into: stated rules, to the tick."""

from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from btcbot import backtest
from btcbot.cli.sources import source_of_files
from btcbot.domain.ids import Pair
from btcbot.domain.instruments import DOCUMENTED
from btcbot.domain.money import Price, Quantity
from btcbot.domain.recorded import BookMoved, BookSet, Happening, Quoted, Traded
from btcbot.domain.words import Side
from btcbot.simulation.recording import Recording, open_recording
from btcbot.strategies import profit_aware
from tests.backtest.tapes import (
    SECOND_NS,
    START_NS,
    TRADES,
    candle_rows,
    depth_rows,
    quote_rows,
    recorded,
    write,
)

RULES = DOCUMENTED[Pair("BTCTRY")]
MINUTE_NS = 60 * SECOND_NS


def opened(*paths: Path, pair: str = "BTCTRY") -> Recording:
    return open_recording(source_of_files(paths), DOCUMENTED[Pair(pair)])


def events(*paths: Path) -> list[Happening]:
    return list(opened(*paths).events)


def test_gzip_changes_nothing(tmp_path: Path) -> None:
    plain, packed = (write(tmp_path / f"t.jsonl{end}", depth_rows()) for end in ("", ".gz"))

    assert events(plain) == events(packed)


def test_files_are_read_one_after_the_other(tmp_path: Path) -> None:
    lines = depth_rows()
    whole = write(tmp_path / "whole.jsonl", lines)
    halves = write(tmp_path / "1.jsonl", lines[:200]), write(tmp_path / "2.jsonl", lines[200:])

    assert events(*halves) == events(whole)


def test_each_trade_is_followed_by_a_quote_one_tick_wide_and_as_deep_as_the_trade(
    tmp_path: Path,
) -> None:
    rows = [TRADES, f"{START_NS},buy,4000000,0.5", f"{START_NS + 1},sell,3999990,0.25"]

    bought, above, sold, below = events(write(tmp_path / "t.csv", rows))

    size = Quantity(Decimal("0.5"))
    assert bought == Traded(START_NS, Side.BUY, Price(Decimal(4_000_000)), size)
    low, high = Price(Decimal(3_999_990)), Price(Decimal(4_000_000))
    assert above == Quoted(START_NS, low, size, high, size)
    assert isinstance(sold, Traded)
    size = Quantity(Decimal("0.25"))
    assert below == Quoted(START_NS + 1, low, size, high, size)


def test_where_quotes_are_recorded_none_is_made(tmp_path: Path) -> None:
    found = events(write(tmp_path / "q.csv", quote_rows(seconds=5)))

    assert len(found) == 20
    assert all(isinstance(event, Quoted) for event in found)


def test_a_candle_is_four_trades_open_nearer_extreme_other_extreme_close(tmp_path: Path) -> None:
    at_ms = START_NS // 10**6
    header = "open_ms,open,high,low,close,volume"
    rows = [
        header,
        f"{at_ms},4000000,4000900,3999900,4000500,2",
        f"{at_ms + 60_000},4000500,4000600,4000000,4000100,0",
        f"{at_ms + 120_000},4000100,4000200,3999000,3999500,4",
    ]

    found = [e for e in events(write(tmp_path / "c.csv", rows)) if isinstance(e, Traded)]

    prices = [
        4_000_000,
        3_999_900,
        4_000_900,
        4_000_500,
        4_000_100,
        4_000_200,
        3_999_000,
        3_999_500,
    ]
    assert [event.price for event in found] == prices
    assert [event.quantity for event in found] == [Decimal("0.5")] * 4 + [Decimal(1)] * 4
    sides = [event.side for event in found[:4]]
    assert sides == [Side.BUY, Side.SELL, Side.BUY, Side.SELL]
    quarter = MINUTE_NS // 4
    begins = [START_NS + n * quarter for n in range(4)]
    assert [event.at_ns for event in found[:4]] == begins
    assert found[4].at_ns == START_NS + 2 * MINUTE_NS, "a candle nothing traded in says nothing"


@pytest.mark.parametrize("column", ["timestamp", "datetime"])
def test_candle_times_may_be_written_out(tmp_path: Path, column: str) -> None:
    rows = candle_rows(count=3)
    written = [f"{column},open,high,low,close,volume"]
    for n, row in enumerate(rows[1:]):
        written.append(f"2023-11-14 22:1{3 + n}:20,{row.split(',', 1)[1]}")

    assert events(write(tmp_path / "w.csv", written)) == events(write(tmp_path / "m.csv", rows))


def test_more_columns_in_another_order_do_not_matter(tmp_path: Path) -> None:
    rows = quote_rows(seconds=3)
    mixed = []
    for row in rows:
        at, bid, bid_size, ask, ask_size = row.split(",")
        mixed.append(
            ",".join((ask, ask_size, "note" if at == "recv_ns" else "x", at, bid_size, bid))
        )

    assert events(write(tmp_path / "a.csv", rows)) == events(write(tmp_path / "b.csv", mixed))


def test_a_foreign_recording_is_mapped_by_one_factor_bids_down_asks_up(tmp_path: Path) -> None:
    rows = quote_rows(seconds=30)

    recording = opened(write(tmp_path / "q.csv", rows), pair="USDTTRY")

    mapped, rules = list(recording.events), DOCUMENTED[Pair("USDTTRY")]
    assert len(mapped) == len(rows) - 1
    for row, after in zip(rows[1:], mapped, strict=True):
        _, bid, _, ask, _ = row.split(",")
        assert isinstance(after, Quoted)
        assert 0 <= Decimal(bid) * recording.factor - after.bid < rules.tick
        assert 0 <= after.ask - Decimal(ask) * recording.factor < rules.tick
        assert after.bid % rules.tick == after.ask % rules.tick == 0
        assert after.bid < after.ask


CANDLES = [
    ("candles_1m/bitstamp_btcusd_1m_20200101.csv", 60, 1_440 - 45),
    ("candles_1m/btc_perp_1m_20211231_20220201.csv.gz", 60, 45_031),
    ("candles_5m/adabtc_5m_20180110.csv.gz", 300, 5_720),
    ("candles_5m/ethbtc_5m_20180110.csv.gz", 300, 5_760),
    ("candles_5m/ltcbtc_5m_20180110.csv.gz", 300, 5_760),
    ("candles_5m/xmrbtc_5m_20180110.csv.gz", 300, 5_758),
    ("candles_1d/binance_btcusdt_1d_2020.csv", 86_400, 366 - 1),
]


@pytest.mark.parametrize(("name", "span_s", "candles"), CANDLES)
def test_recorded_candles_are_read_to_the_last(name: str, span_s: int, candles: int) -> None:
    trades = [e for e in opened(*recorded(name)).events if isinstance(e, Traded)]

    # A candle of next to no volume has quarters below a step: those say nothing.
    assert candles * 4 * 0.99 <= len(trades) <= candles * 4
    distances = {late.at_ns - early.at_ns for early, late in pairwise(trades)}
    assert min(distances) == span_s * SECOND_NS // 4


def test_recorded_ticks_say_the_same_as_the_frames_they_were_made_from() -> None:
    frames = recorded("l2/btcusdt_spot_20240808.jsonl.gz", "l2/btcusdt_spot_20240809.jsonl.gz")
    [ticks] = recorded("ticks/btcusdt_spot_20240808T2354_trades.csv.gz")
    as_usdt = DOCUMENTED[Pair("BTCUSDT")]

    from_frames = [
        e for e in open_recording(source_of_files(frames), as_usdt).events if isinstance(e, Traded)
    ]
    from_csv = [
        e for e in open_recording(source_of_files([ticks]), as_usdt).events if isinstance(e, Traded)
    ]

    assert len(from_frames) > 19_000
    assert from_frames == from_csv


def test_the_recorded_depth_is_whole() -> None:
    frames = recorded("l2/btcusdt_spot_20240808.jsonl.gz", "l2/btcusdt_spot_20240809.jsonl.gz")

    found = list(open_recording(source_of_files(frames), DOCUMENTED[Pair("BTCUSDT")]).events)

    assert sum(1 for event in found if isinstance(event, BookSet)) == 1
    assert sum(1 for event in found if isinstance(event, BookMoved)) == 6_493


@pytest.mark.parametrize(
    "name",
    [
        "ticks/btcusdt_spot_20240808T2354_top.csv.gz",
        "ticks/btcusdt_spot_20240808T2354_trades.csv.gz",
        "candles_1d/binance_btcusdt_1d_2020.csv",
    ],
)
def test_every_kind_of_recording_runs_to_its_end(name: str) -> None:
    source = opened(*recorded(name)).events
    plan = backtest.Plan(strategy="profit_aware", params=profit_aware.DEMO, pair=RULES.pair)

    result, _ = backtest.run(plan, source)

    assert result.events > 2_000
    assert result.orders
