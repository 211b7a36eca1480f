"""Candles and the dedupe window: the same however trades are split, repeated and shuffled."""

from decimal import Decimal
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from btcbot.domain.feed import (
    CandlesRead,
    JoinTrades,
    ReadCandles,
    SeenCandle,
    SeenTicker,
    SeenTrade,
    TradesSeen,
)
from btcbot.domain.ids import Pair
from btcbot.domain.messages import Candle, Ohlc, Trade, TradesGap
from btcbot.domain.money import Price, Quantity
from btcbot.domain.words import CandleSource, Side
from btcbot.market.candles import MINUTE_NS, CandleMaker
from btcbot.market.say import Say
from btcbot.market.tape import BACKFILL_NS, DAY_NS, Tape
from btcbot.market.trades import TradeWindow

PAIR = Pair("BTCTRY")
START_NS = 1_790_000_040_000_000_000 - 1_790_000_040_000_000_000 % MINUTE_NS
SECOND_NS = 1_000_000_000


def trade(number: int, at_s: float, price: str = "100", quantity: str = "1") -> SeenTrade:
    at_ns = START_NS + round(at_s * 1_000) * 1_000_000
    return SeenTrade(number, Side.BUY, Price(Decimal(price)), Quantity(Decimal(quantity)), at_ns)


def tape(*, is_listed: bool = True, read_back_ns: int = BACKFILL_NS) -> Tape:
    made = Tape(pair=PAIR, candles=CandleMaker(PAIR), read_back_ns=read_back_ns)
    made.session_began(START_NS)
    if is_listed:
        hear(made, (), START_NS, is_backlog=True)
    return made


def hear(
    made: Tape, trades: tuple[SeenTrade, ...], now_ns: int, *, is_backlog: bool = False
) -> list[object]:
    seen = TradesSeen(pair=PAIR, trades=trades, is_backlog=is_backlog)
    return said(made.hear_trades(seen, now_ns))


def said(effects: tuple[object, ...]) -> list[object]:
    return [effect.message if isinstance(effect, Say) else effect for effect in effects]


def tick(made: Tape, at_s: float, *, is_alive: bool = True) -> list[object]:
    now_ns = START_NS + round(at_s * SECOND_NS)
    return said(made.tick(now_ns, now_ns if is_alive else START_NS, is_up=True))


def candles(found: list[object]) -> list[Any]:
    return [row for row in found if isinstance(row, Candle)]


# --- properties -------------------------------------------------------------------------------

prices = st.decimals("0.01", "9999999", places=2)
rows = st.lists(
    st.tuples(st.integers(0, 299_999), prices, st.decimals("0.0001", "99", places=4)),
    max_size=30,
)


def told(maker: CandleMaker, now_ns: int) -> dict[int, Any]:
    return {
        row.start_ns: (row.prices, row.volume, row.turnover, row.trades, row.is_complete)
        for row in maker.closed(now_ns)
    }


@given(rows=rows, data=st.data())
def test_candles_are_equal_after_any_split_repetition_and_reordering(
    rows: list[tuple[int, Decimal, Decimal]], data: st.DataObject
) -> None:
    trades = [
        SeenTrade(n, Side.SELL, Price(price), Quantity(quantity), START_NS + ms * 1_000_000)
        for n, (ms, price, quantity) in enumerate(rows, 1)
    ]
    end_ns = START_NS + 6 * MINUTE_NS
    once = CandleMaker(PAIR)
    once.begin(START_NS)
    once.cover(end_ns)
    for row in trades:
        once.add(row)
    expected = told(once, end_ns)

    repeated = data.draw(st.lists(st.sampled_from(trades), max_size=10)) if trades else []
    shuffled = data.draw(st.permutations(trades + repeated))
    cuts = data.draw(st.lists(st.integers(0, len(shuffled)), max_size=5))
    window, maker = TradeWindow(), CandleMaker(PAIR)
    found: dict[int, Any] = {}
    maker.begin(START_NS)
    edges = [0, *sorted(cuts), len(shuffled)]
    for step, (low, high) in enumerate(pairwise(edges)):
        for row in window.take(tuple(shuffled[low:high])):
            maker.add(row)
        maker.cover(START_NS + step * MINUTE_NS)  # Some minutes are told before all of them came.
        found |= told(maker, end_ns)
    maker.cover(end_ns)
    found |= told(maker, end_ns)

    assert found == expected
    assert maker.misplaced == 0
    assert sum(row[3] for row in found.values()) == len(trades)


@given(
    size=st.integers(4, 20),
    ids=st.lists(st.integers(1, 60), max_size=120),
)
def test_no_trade_counts_twice_and_none_inside_the_window_is_dropped(
    size: int, ids: list[int]
) -> None:
    window, floor = TradeWindow(size), 0
    taken: set[int] = set()
    for number in ids:
        fresh = [row.trade_id for row in window.take((trade(number, 0),))]
        assert fresh == ([number] if number > floor and number not in taken else [])
        taken.update(fresh)
        floor = window.floor
        assert floor == 0 or sum(1 for known in taken if known > floor) >= size // 2


# --- minutes ----------------------------------------------------------------------------------


def test_a_minute_has_the_first_highest_lowest_and_last_price_by_the_exchanges_clock() -> None:
    made = tape()
    hear(made, (trade(3, 30, "90", "2"), trade(1, 10, "100"), trade(2, 20, "120")), START_NS)
    hear(made, (trade(4, 59.9, "95"),), START_NS)

    [row] = candles(tick(made, 63))

    assert row.prices == Ohlc(
        open=Price(Decimal(100)), high=Price(Decimal(120)), low=Price(Decimal(90)),
        close=Price(Decimal(95)),
    )  # fmt: skip
    assert (row.start_ns, row.span_ns, row.trades) == (START_NS, MINUTE_NS, 4)
    assert (row.volume, row.turnover) == (5, 495)
    assert row.is_complete
    assert row.source is CandleSource.LIVE


def test_no_trade_is_told_apart_from_no_data() -> None:
    made = tape()

    [quiet] = candles(tick(made, 63))
    assert (quiet.prices, quiet.trades, quiet.volume, quiet.is_complete) == (None, 0, 0, True)

    made.session_ended()
    assert candles(tick(made, 200)) == []  # Nobody knows what happened: nothing is said.
    hear(made, (trade(7, 190),), START_NS + 200 * SECOND_NS, is_backlog=True)
    hear(made, (trade(99, 250),), START_NS + 260 * SECOND_NS)  # Healed: nothing was before id 7.
    assert all(row.is_complete for row in candles(tick(made, 260)))


def test_a_gap_in_the_trades_marks_every_minute_it_touches_and_asks_the_charts_for_them() -> None:
    made = tape()
    hear(made, (trade(5, 30),), START_NS + 30 * SECOND_NS)
    made.session_ended()

    found = hear(
        made, (trade(90, 130), trade(91, 150)), START_NS + 150 * SECOND_NS, is_backlog=True
    )

    assert [type(row) for row in found] == [TradesGap, Trade, Trade]
    assert isinstance(found[0], TradesGap)
    assert found[0].after_trade_id == 5
    told_minutes = candles(tick(made, 243))
    assert [row.is_complete for row in told_minutes] == [False, False, False, True]
    assert [row.trades for row in told_minutes] == [1, 0, 2, 0]
    asked = [row for row in tick(made, 260) if isinstance(row, ReadCandles)]
    assert asked == [ReadCandles(PAIR, START_NS - 60 * MINUTE_NS, START_NS + 3 * MINUTE_NS)]


def test_a_list_that_reaches_back_heals_an_absence_without_a_gap() -> None:
    made = tape()
    hear(made, (trade(5, 30),), START_NS + 30 * SECOND_NS)
    made.session_ended()

    backlog = (trade(5, 30), trade(6, 70), trade(7, 75))
    found = hear(made, backlog, START_NS + 80 * SECOND_NS, is_backlog=True)

    assert [row.trade_id for row in found if isinstance(row, Trade)] == [6, 7]
    assert not any(isinstance(row, TradesGap) for row in found)
    assert [row.is_complete for row in candles(tick(made, 123))] == [True, True]


def test_the_first_list_is_history_that_counts_in_candles_but_is_no_news() -> None:
    made = tape(is_listed=False)

    backlog = (trade(1, -90), trade(2, -30), trade(3, 5))
    assert hear(made, backlog, START_NS + 6 * SECOND_NS, is_backlog=True) == []

    found = candles(tick(made, 63))
    assert [(row.trades, row.is_complete) for row in found] == [(1, False), (1, True), (1, True)]


def test_a_trade_that_comes_late_is_told_again_in_its_minute() -> None:
    made = tape()
    assert [row.trades for row in candles(tick(made, 63))] == [0]

    hear(made, (trade(1, 59),), START_NS + 64 * SECOND_NS)

    [again] = candles(tick(made, 65))
    assert (again.start_ns, again.trades) == (START_NS, 1)


def test_a_trade_of_another_century_fills_no_memory() -> None:
    made = tape()
    hear(made, (trade(1, 10**7), trade(2, -(10**6))), START_NS + SECOND_NS)

    assert made.candles.misplaced == 2
    assert [row.trades for row in candles(tick(made, 63))] == [0]


def test_minutes_from_the_charts_say_where_they_come_from() -> None:
    made = tape()
    ohlc = Ohlc(open=Price(Decimal(1)), high=Price(Decimal(2)), low=Price(Decimal(1)),
                close=Price(Decimal(2)))  # fmt: skip
    read = CandlesRead(
        pair=PAIR,
        candles=(
            SeenCandle(START_NS, ohlc, Quantity(Decimal(3))),
            SeenCandle(START_NS + MINUTE_NS, ohlc, Quantity(Decimal(0))),
        ),
    )

    first, quiet = candles(said(made.hear_candles(read, START_NS)))

    assert (first.source, first.prices, first.trades) == (CandleSource.BACKFILL, ohlc, None)
    assert quiet.prices is None


def test_what_the_charts_did_not_answer_is_asked_for_again() -> None:
    made = tape()
    asked = [second for second in range(200) if ReadCandles in map(type, tick(made, second))]
    assert asked == [10, 70, 130, 190]

    made.hear_candles(CandlesRead(pair=PAIR, candles=()), START_NS)
    assert not any(ReadCandles in map(type, tick(made, second)) for second in range(200, 400))


def reads(made: Tape, at_s: int) -> list[ReadCandles]:
    return [row for row in tick(made, at_s) if isinstance(row, ReadCandles)]


def minutes(count: int, first: int = 0) -> CandlesRead:
    ohlc = Ohlc(open=ONE, high=ONE, low=ONE, close=ONE)
    rows = range(first, first + count)
    return CandlesRead(
        pair=PAIR,
        candles=tuple(
            SeenCandle(START_NS + n * MINUTE_NS, ohlc, Quantity(Decimal(3))) for n in rows
        ),
    )


ONE = Price(Decimal(1))
DAY = ReadCandles(PAIR, START_NS - 25 * 60 * MINUTE_NS, START_NS)


def test_a_day_is_read_at_the_start_and_again_for_a_strategy_that_comes_back() -> None:
    made = tape(read_back_ns=DAY_NS, is_listed=False)
    made.hearer_came(START_NS)  # Both want it: it is read once.
    hear(made, (), START_NS, is_backlog=True)
    assert reads(made, 10) == [DAY]
    made.hear_candles(CandlesRead(pair=PAIR, candles=()), START_NS)
    assert reads(made, 30) == []

    made.hearer_came(START_NS + 30 * SECOND_NS)

    assert reads(made, 45) == [DAY]


def test_where_nobody_looks_back_a_day_nothing_is_read_again() -> None:
    made = tape()
    assert len(reads(made, 10)) == 1
    made.hear_candles(CandlesRead(pair=PAIR, candles=()), START_NS)

    made.hearer_came(START_NS + 30 * SECOND_NS)

    assert reads(made, 45) == []


def test_a_day_is_told_a_part_a_second_and_whole_whatever_else_is_read_meanwhile() -> None:
    made = tape(read_back_ns=DAY_NS)
    parts = [candles(said(made.hear_candles(minutes(300), START_NS)))]
    parts.append(candles(said(made.hear_candles(minutes(1, first=300), START_NS))))
    while made.untold:
        parts.append(candles(tick(made, len(parts))))

    assert [len(part) for part in parts] == [120, 120, 61]
    starts = [row.start_ns for part in parts for row in part]
    assert starts == [START_NS + n * MINUTE_NS for n in range(301)]


# --- silence ----------------------------------------------------------------------------------


def ticker(last: str, volume: str) -> SeenTicker:
    return SeenTicker(PAIR, None, None, Price(Decimal(last)), Decimal(volume))


def test_a_trade_channel_that_tells_less_than_the_tickers_is_joined_again() -> None:
    made = tape()
    made.hear_ticker(ticker("100", "5"), START_NS + 10 * SECOND_NS)
    made.hear_ticker(ticker("100", "6"), START_NS + 20 * SECOND_NS)

    assert JoinTrades(PAIR) not in tick(made, 24)
    assert JoinTrades(PAIR) in tick(made, 26)
    assert JoinTrades(PAIR) not in tick(made, 27)  # One at a time.

    hear(made, (trade(1, 19),), START_NS + 28 * SECOND_NS, is_backlog=True)
    assert JoinTrades(PAIR) not in tick(made, 60)


def test_a_quiet_pair_is_not_silent() -> None:
    made = tape()
    for second in range(0, 120, 2):
        made.hear_ticker(ticker("100", str(9_000 - second)), START_NS + second * SECOND_NS)
        assert JoinTrades(PAIR) not in tick(made, second)


def test_a_trade_told_before_its_ticker_explains_it() -> None:
    made = tape()
    made.hear_ticker(ticker("100", "5"), START_NS + 10 * SECOND_NS)
    hear(made, (trade(1, 10, "101"),), START_NS + 10 * SECOND_NS)
    made.hear_ticker(ticker("101", "6"), START_NS + 11 * SECOND_NS)

    assert JoinTrades(PAIR) not in tick(made, 30)


def test_a_join_of_trades_that_brings_no_list_is_repeated_ever_more_rarely() -> None:
    made = tape(is_listed=False)

    asked = [second for second in range(200) if JoinTrades(PAIR) in tick(made, second)]

    assert asked[:3] == [3, 9, 21]
    assert len(asked) < 11
