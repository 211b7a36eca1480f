"""Rows as what happens in a market: books joined, candles walked, nonsense refused."""

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcbot.catalog.forms import has_book, play
from btcbot.catalog.happenings import Player, happenings, playable
from btcbot.catalog.joining import ChangesMissing, Joiner
from btcbot.catalog.rows import Channel, Row
from btcbot.domain.recorded import BookMoved, BookSet, DatasetError, Quoted, Traded
from btcbot.domain.words import Side
from tests.catalog.markets import MINUTE, START, candle, depth, quote, table, trade

TRADES = "recv_ns,taker_side,price,qty"


def numbers(joiner: Joiner, *frames: tuple[int, int]) -> list[int]:
    return [row.last for frame in frames for row in joiner.take(depth(0, frame))]


def test_changes_before_a_snapshot_wait_for_it_and_older_ones_are_dropped() -> None:
    joiner = Joiner()
    assert numbers(joiner, (1, 4), (5, 10), (11, 12)) == []

    applied = joiner.take(depth(1, (10, 10), is_snapshot=True))

    assert [row.last for row in applied] == [10, 12]
    assert numbers(joiner, (11, 12), (13, 13)) == [13]


def test_a_change_that_reaches_over_the_snapshot_is_applied() -> None:
    joiner = Joiner()
    joiner.take(depth(0, (10, 10), is_snapshot=True))
    assert numbers(joiner, (8, 11)) == [11]


def test_after_a_gap_there_is_no_book_until_the_next_snapshot() -> None:
    joiner = Joiner()
    joiner.take(depth(0, (10, 10), is_snapshot=True))
    with pytest.raises(ChangesMissing, match="depth updates 11 to 11 are missing"):
        joiner.take(depth(1, (12, 12)))
    assert joiner.last == 0
    assert numbers(joiner, (13, 13)) == []
    # The change after the gap waited: the new snapshot is older than it.
    assert [row.last for row in joiner.take(depth(2, (11, 11), is_snapshot=True))] == [11, 12, 13]


def test_a_recording_without_a_snapshot_ends_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("btcbot.catalog.joining.EARLY_MAX", 3)
    with pytest.raises(ValueError, match="3 changes of a book and no snapshot"):
        numbers(Joiner(), (1, 1), (2, 2), (3, 3), (4, 4))


def test_a_gap_is_passed_in_a_data_set_and_an_error_in_a_file() -> None:
    rows = [
        depth(0, (1, 1), [("9", "1")], [("10", "1")], is_snapshot=True),
        depth(1, (5, 5), [("9", "2")]),
        depth(2, (7, 7), [("8", "1")], [("10", "1")], is_snapshot=True),
    ]
    assert [type(event) for event in happenings(rows)] == [BookSet, BookSet]
    player = Player()
    list(player.play(rows[0]))
    with pytest.raises(ChangesMissing):
        list(player.play(rows[1]))


def test_what_was_heard_happens() -> None:
    rows: list[Row] = [
        depth(0, (1, 1), [("9.5", "1")], [("10", "0.25")], is_snapshot=True),
        depth(1, (2, 2), [("9.5", "0")]),
        trade(2, 7, "9.75", "3"),
        quote(3),
    ]
    book, moved, traded, quoted = happenings(rows)
    assert book == BookSet(
        START, ((Decimal("9.5"), Decimal(1)),), ((Decimal(10), Decimal("0.25")),)
    )
    assert isinstance(moved, BookMoved)
    assert moved.bids == ((Decimal("9.5"), Decimal(0)),)
    assert isinstance(traded, Traded)
    assert (traded.side, traded.price, traded.quantity) == (Side.BUY, Decimal("9.75"), Decimal(3))
    assert isinstance(quoted, Quoted)
    assert quoted.bid < quoted.ask


def test_a_candle_walks_by_the_nearer_extreme_first() -> None:
    walked = list(happenings([candle(0, ("5", "9", "4", "6"), "2")]))
    assert [(event.at_ns - START) // (MINUTE // 4) for event in walked] == [0, 1, 2, 3]
    assert [event.price for event in walked if isinstance(event, Traded)] == [5, 4, 9, 6]
    other = happenings([candle(0, ("5", "6", "1", "2"), "2")])
    assert [event.price for event in other if isinstance(event, Traded)] == [5, 6, 1, 2]


@given(st.integers(1, 50), st.integers(0, 50), st.integers(0, 50), st.integers(0, 1000))
def test_what_is_made_of_a_candle_makes_the_candle(low: int, up: int, down: int, size: int) -> None:
    figures = tuple(map(str, (low + up, low + up + down, low, low + down)))
    one = candle(0, figures, str(size))

    prices = [event.price for event in happenings([one]) if isinstance(event, Traded)]

    if size:
        assert (prices[0], max(prices), min(prices), prices[-1]) == (
            one.open, one.high, one.low, one.close,
        )  # fmt: skip
    else:
        assert prices == []


@pytest.mark.parametrize(
    "rows",
    [
        [quote(0, "101", "101")],
        [candle(0, ("5", "4", "1", "4"))],
        [candle(0), candle(0)],
        [trade(1), trade(0)],
    ],
)
def test_rows_that_make_no_sense_are_not_played(rows: list[object]) -> None:
    with pytest.raises(
        ValueError, match=r"must be below|allowed is low|must rise|must not go back"
    ):
        list(happenings(rows))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("held", "played"),
    [
        ("depth quotes trades candles", "depth trades"),
        ("quotes trades ticker", "quotes trades"),
        ("trades candles", "trades"),
        ("candles ticker", "candles"),
        ("ticker", ""),
    ],
)
def test_what_says_the_same_is_not_played_twice(held: str, played: str) -> None:
    assert playable(frozenset(map(Channel, held.split()))) == set(played.split())


def test_files_are_played_in_order_and_the_row_that_is_wrong_is_named(tmp_path: Path) -> None:
    first = table(tmp_path / "a.csv", TRADES, [(START, "buy", 1, 1), (START + 1, "sell", 2, 1)])
    second = table(tmp_path / "b.csv", TRADES, [(START + 2, "buy", 3, 1), (START, "buy", 4, 1)])
    assert not has_book([first, second])

    events = play([first, second])

    assert [next(events).at_ns - START for _ in range(3)] == [0, 1, 2]
    with pytest.raises(DatasetError, match=rf"{second}, row 3: time goes from"):
        next(events)
    later = table(tmp_path / "c.csv", TRADES, [(START + 9, "buy", 1, 1)])
    with pytest.raises(DatasetError, match=rf"{first}, row 2: time goes from"):
        list(play([later, first]))
