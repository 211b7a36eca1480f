"""A book is kept from a snapshot and the changes after it, and is void when that breaks."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcbot.domain.feed import TextLevel
from btcbot.domain.messages import Level
from btcbot.domain.money import Price, Quantity
from btcbot.market.book import Applied, Book

Levels = tuple[TextLevel, ...]


def side(*rows: tuple[str, str]) -> Levels:
    return tuple(TextLevel(price, amount) for price, amount in rows)


def level(price: int, quantity: int) -> Level:
    return Level(Price(Decimal(price)), Quantity(Decimal(quantity)))


def kept() -> Book:
    book = Book()
    book.reset(10, side(("99", "1"), ("98", "2")), side(("101", "3"), ("102", "4")))
    return book


def test_a_new_book_is_void_and_takes_no_change() -> None:
    book = Book()
    assert book.top() is None
    assert book.apply(1, (), ()) is Applied.GAP


def test_the_top_is_the_best_of_both_sides_with_its_amounts() -> None:
    assert kept().top() == (Decimal(99), Decimal(1), Decimal(101), Decimal(3))


def test_changes_add_replace_and_remove_levels() -> None:
    book = kept()
    assert book.apply(11, side(("100", "5"), ("98", "0")), side(("101", "0"))) is Applied.DONE
    assert book.top() == (Decimal(100), Decimal(5), Decimal(102), Decimal(4))
    assert book.apply(12, side(("100", "6")), ()) is Applied.DONE
    bids, asks = book.depth(10)
    assert bids == (level(100, 6), level(99, 1))
    assert asks == (level(102, 4),)


@pytest.mark.parametrize("zero", ["0", "0.0", "0.00000000", "00"])
def test_nothing_left_is_nothing_however_it_is_written(zero: str) -> None:
    book = kept()
    assert book.apply(11, side(("99", zero)), ()) is Applied.DONE
    assert book.best_bid == 98
    book.reset(20, side(("99", zero), ("97", "1")), side(("101", "1")))
    assert book.best_bid == 97


def test_the_same_price_in_another_spelling_is_the_same_level() -> None:
    book = kept()
    book.apply(11, side(("99.00", "0")), ())
    assert book.best_bid == 98


def test_a_gap_voids_the_book_until_the_next_snapshot() -> None:
    book = kept()
    assert book.apply(12, side(("99", "9")), ()) is Applied.GAP
    assert book.top() is None
    assert book.depth(5) == ((), ())
    assert book.apply(11, (), ()) is Applied.GAP
    assert book.reset(20, side(("99", "1")), side(("101", "1"))) is Applied.DONE
    assert book.top() is not None


@pytest.mark.parametrize("change_set", [10, 9, 1])
def test_what_it_had_already_changes_nothing(change_set: int) -> None:
    book = kept()
    assert book.apply(change_set, side(("100", "9")), ()) is Applied.OLD
    assert book.best_bid == 99


@pytest.mark.parametrize("bid", ["101", "101.5"])
def test_bid_at_or_above_ask_voids_the_book(bid: str) -> None:
    book = kept()
    assert book.apply(11, side((bid, "1")), ()) is Applied.CROSSED
    assert book.top() is None
    assert book.apply(12, side((bid, "0")), ()) is Applied.GAP
    assert book.reset(20, side((bid, "1")), side(("101", "1"))) is Applied.CROSSED


def test_an_empty_side_has_no_top_and_is_not_void() -> None:
    book = kept()
    assert book.apply(11, side(("99", "0"), ("98", "0")), ()) is Applied.DONE
    assert book.top() is None
    assert not book.is_void


def test_removing_what_was_never_shown_is_counted_and_harmless() -> None:
    book = kept()
    assert book.apply(11, side(("50", "0")), ()) is Applied.DONE
    assert book.absent_removals == 1


def test_depth_is_best_first_and_no_deeper_than_asked() -> None:
    book = kept()
    bids, asks = book.depth(1)
    assert [row.price for row in bids] == [99]
    assert [row.price for row in asks] == [101]


prices = st.integers(1, 20).map(str)
amounts = st.sampled_from(["0", "1", "2.5"])
changes = st.lists(st.tuples(prices, amounts), max_size=4)


@given(st.lists(st.tuples(changes, changes), max_size=12))
def test_after_any_changes_the_top_is_what_a_plain_fold_of_them_has(
    rows: list[tuple[list[tuple[str, str]], list[tuple[str, str]]]],
) -> None:
    book, bids, asks = Book(), dict[int, str](), dict[int, str]()
    book.reset(0, (), ())
    for n, (new_bids, new_asks) in enumerate(rows, 1):
        for levels, new in ((bids, new_bids), (asks, new_asks)):
            for price, amount in new:
                levels[int(price)] = amount
        best_bid = max((p for p, a in bids.items() if a != "0"), default=None)
        best_ask = min((p for p, a in asks.items() if a != "0"), default=None)
        is_crossed = best_bid is not None and best_ask is not None and best_bid >= best_ask

        applied = book.apply(n, side(*new_bids), side(*new_asks))

        assert (applied is Applied.CROSSED) is is_crossed
        if is_crossed:
            assert book.top() is None
            return
        assert (book.best_bid, book.best_ask) == (best_bid, best_ask)
        found = book.top()
        assert (found is None) is (best_bid is None or best_ask is None)
        if found is not None and best_bid is not None and best_ask is not None:
            bid, bid_amount, ask, ask_amount = found
            assert (int(bid), int(ask)) == (best_bid, best_ask)
            assert (bid_amount, ask_amount) == (
                Decimal(bids[best_bid]), Decimal(asks[best_ask])
            )  # fmt: skip
