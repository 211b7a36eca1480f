"""The book of one pair: what makes it void, and that it always equals what the exchange has."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcbot.domain.feed import TextLevel
from btcbot.market.book import LEVELS_MAX, Applied, Book


def levels(*rows: tuple[str, str]) -> tuple[TextLevel, ...]:
    return tuple(TextLevel(price, amount) for price, amount in rows)


def side(*rows: tuple[str, str]) -> bytes:
    return msgspec.json.encode([{"A": amount, "P": price} for price, amount in rows])


BIDS, ASKS = side(("100", "1"), ("99", "2")), side(("101", "3"), ("102", "4"))


def top(book: Book) -> Any:
    return book.top()


def depth(book: Book, count: int) -> Any:
    return book.depth(count)


def whole() -> Book:
    book = Book()
    assert book.reset(10, BIDS, ASKS) is Applied.DONE
    return book


def test_a_book_is_void_until_its_first_snapshot() -> None:
    book = Book()

    assert book.apply(1, (), ()) is Applied.GAP
    assert book.top() is None
    assert book.depth(10) is None


def test_the_top_of_a_snapshot_is_its_first_level_with_anything_in_it() -> None:
    book = Book()
    book.reset(1, side(("100", "0.000"), ("99", "2")), ASKS)

    assert top(book) == (99, 2, 101, 3)
    assert book.apply(2, levels(("98", "1")), ()) is Applied.DONE
    assert top(book) == (99, 2, 101, 3)


@pytest.mark.parametrize(
    ("change_set", "bids", "asks", "becomes"),
    [
        (11, levels(("100", "9")), (), Applied.DONE),
        (11, (), levels(("101.0", "0")), Applied.DONE),
        (10, levels(("100", "9")), (), Applied.OLD),
        (3, (), (), Applied.OLD),
        (12, levels(("100", "9")), (), Applied.GAP),
        (11, levels(("101", "1")), (), Applied.CROSSED),
        (11, (), levels(("99.5", "1")), Applied.CROSSED),
        (11, levels(("98", "0")), (), Applied.ABSENT),
        (11, (), levels(("101.5", "0")), Applied.ABSENT),
    ],
)
def test_a_change_is_taken_ignored_or_makes_the_book_void(
    change_set: int, bids: Any, asks: Any, becomes: Applied
) -> None:
    book = whole()

    assert book.apply(change_set, bids, asks) is becomes

    is_whole = becomes in (Applied.DONE, Applied.OLD)
    assert book.is_void is not is_whole
    assert (book.top() is not None) is is_whole
    if not is_whole:  # Only a snapshot mends it.
        assert book.apply(book.change_set + 1, (), ()) is Applied.GAP
        assert book.reset(20, BIDS, ASKS) is Applied.DONE


@pytest.mark.parametrize(
    ("bids", "becomes"),
    [
        (side(("101", "1")), Applied.CROSSED),
        (side(("0", "1")), Applied.BROKEN),
        (side(("1.2.3", "1")), Applied.BROKEN),
        (side(("", "1")), Applied.BROKEN),
    ],
)
def test_a_snapshot_whose_best_level_is_none_is_void_at_once(bids: Any, becomes: Applied) -> None:
    assert Book().reset(1, bids, ASKS) is becomes


@pytest.mark.parametrize(
    "bids",
    [
        side(("99", "1"), ("100", "1")),  # Not best first.
        side(("100", "1"), ("1.2.3", "1")),
        side(("100", "1"), ("0.00", "1")),
        side(("100", "1"), ("99", "9" * 40)),
        side(("100", "1"), ("99", "1"), ("100.0", "5")),  # Twice, and not the same.
    ],
)
def test_a_snapshot_that_is_not_what_it_claimed_is_void_when_it_is_looked_into(bids: Any) -> None:
    book = Book()
    assert book.reset(1, bids, ASKS) is Applied.DONE

    assert book.apply(2, (), levels(("101", "1"))) is Applied.BROKEN
    assert book.top() is None

    book.reset(1, bids, ASKS)
    assert book.depth(10) is None
    assert book.is_void


def test_a_book_that_only_grows_has_lost_its_removals() -> None:
    book = whole()
    grown = levels(*((str(99 - n / 1000), "1") for n in range(1, LEVELS_MAX)))

    assert book.apply(11, grown, ()) is Applied.BROKEN


def test_a_book_without_one_side_has_no_price() -> None:
    book = Book()

    assert book.reset(1, BIDS, b"[]") is Applied.DONE
    assert book.top() is None
    assert book.apply(2, (), levels(("101", "1"))) is Applied.DONE
    assert top(book) == (100, 1, 101, 1)


def test_depth_is_sorted_best_first_and_cut() -> None:
    bids, asks = depth(whole(), 1)

    assert [(row.price, row.quantity) for row in bids] == [(100, 1)]
    assert [(row.price, row.quantity) for row in asks] == [(101, 3)]


changes = st.lists(
    st.dictionaries(st.integers(1, 60), st.integers(0, 5), max_size=8), min_size=1, max_size=15
)


@given(changes=changes, is_looked_into=st.booleans())
def test_the_book_equals_the_exchanges_after_any_changes(
    changes: list[dict[int, int]], *, is_looked_into: bool
) -> None:
    """Prices under 30 are bids, the rest asks; the exchange only removes what is there."""
    theirs: dict[int, int] = {10: 1, 50: 1}
    book = Book()
    book.reset(0, side(("10", "1")), side(("50.0", "1")))
    for number, change in enumerate(changes, 1):
        shown = {p: n for p, n in change.items() if n or p in theirs}
        theirs = {p: n for p, n in (theirs | shown).items() if n}
        rows = [(p, TextLevel(str(p), str(n))) for p, n in shown.items()]
        bids = tuple(row for p, row in rows if p < 30)
        asks = tuple(row for p, row in rows if p >= 30)
        assert book.apply(number, bids, asks) is Applied.DONE
        if is_looked_into:
            book.depth(3)

    bid = max((p for p in theirs if p < 30), default=None)
    ask = min((p for p in theirs if p >= 30), default=None)
    if bid is None or ask is None:
        assert book.top() is None
    else:
        assert top(book) == (bid, theirs[bid], ask, theirs[ask])
        ours = book.depth(100)
        assert ours is not None
        assert {int(row.price): int(row.quantity) for side in ours for row in side} == theirs
        assert all(isinstance(row.price, Decimal) for side in ours for row in side)
