"""The market as market_data's journal heard it, and the middle when an order was decided."""

from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from actors import CODEC
from btcbot.domain.feed import (
    BookChange,
    BookSnapshot,
    RulesRead,
    SeenTrade,
    TextLevel,
    TradesSeen,
    WireLevel,
)
from btcbot.domain.instruments import DOCUMENTED
from btcbot.domain.money import Price, Quantity
from btcbot.domain.recorded import BookMoved, BookSet, Traded
from btcbot.domain.words import Side
from btcbot.research.heard import Middles, arrivals, market_of, rules_of
from bus.envelope import WIRE_VERSION, Envelope
from bus.journal import Journal
from tests.builders import BTCTRY
from tests.research.runs import START_NS, order

SECOND = 10**9


def snapshot(bid: int, ask: int) -> BookSnapshot:
    bids, asks = (msgspec.json.encode([WireLevel(str(price), "1")]) for price in (bid, ask))
    return BookSnapshot(pair=BTCTRY, change_set=1, bids=bids, asks=asks)


def change(bid: int, quantity: str = "1") -> BookChange:
    return BookChange(pair=BTCTRY, change_set=2, bids=(TextLevel(str(bid), quantity),), asks=())


def trades(*, is_backlog: bool) -> TradesSeen:
    one = SeenTrade(1, Side.BUY, Price(Decimal(105)), Quantity(Decimal(2)), START_NS)
    return TradesSeen(pair=BTCTRY, trades=(one,), is_backlog=is_backlog)


def journal(folder: Path, heard: Iterable[tuple[int, Struct]]) -> Path:
    """Write what was heard, each at a second."""
    written = Journal(folder, "market_data", START_NS)
    written.open(b"", "code", START_NS)
    for second, message in heard:
        envelope = Envelope(WIRE_VERSION, "self", 1, "", 0, "", 0, 0, message)
        written.append(START_NS + second * SECOND, CODEC.encode(envelope))
    written.close()
    return folder


def test_a_market_begins_with_a_whole_book_and_holds_what_moved(tmp_path: Path) -> None:
    heard = [
        (0, change(90)),  # Of a book that nobody has seen.
        (1, snapshot(100, 110)),
        (2, trades(is_backlog=True)),
        (3, trades(is_backlog=False)),
        (4, change(104)),
        (5, change(104, "0")),
    ]

    market = market_of(journal(tmp_path, heard), START_NS, START_NS + 5 * SECOND)

    assert [type(event) for event in market[BTCTRY]] == [BookSet, Traded, BookMoved]
    middles = Middles(market)
    times = [middles(BTCTRY, START_NS + second * SECOND) for second in (0, 1, 3, 4, 9)]
    assert times == [None, 105, 105, 107, 107]


def test_a_part_of_a_market_begins_with_the_book_as_it_was(tmp_path: Path) -> None:
    folder = journal(tmp_path, [(0, snapshot(100, 110)), (1, change(104)), (9, change(106))])

    [first, *_] = market_of(folder, START_NS + 5 * SECOND, START_NS + 10 * SECOND)[BTCTRY]

    assert isinstance(first, BookSet)
    assert max(first.bids)[0] == 104


def test_an_orders_arrival_price_is_the_middle_when_it_was_decided(tmp_path: Path) -> None:
    folder = journal(tmp_path, [(1, snapshot(100, 110)), (3, change(104)), (5, change(108))])
    orders = [
        order(n, at_ns=START_NS + second * SECOND) for n, second in enumerate((5, 0, 2, 3, 9))
    ]

    found = arrivals(folder, orders)

    # Decided on what was just heard: the change of the same moment counts.
    assert found == {"b1-2": 105, "b1-3": 107, "b1-0": 109, "b1-4": 109}
    assert arrivals(tmp_path / "nothing", orders) == {}


def test_the_rules_are_those_that_a_life_last_read(tmp_path: Path) -> None:
    old, new = (replace(DOCUMENTED[BTCTRY], tick=Decimal(tick)) for tick in (5, 20))
    folder = journal(tmp_path, [(0, snapshot(100, 110)), (1, RulesRead(instruments=(old,)))])
    later = Journal(folder, "market_data", START_NS + SECOND)
    later.open(b"", "code", START_NS)
    envelope = Envelope(WIRE_VERSION, "self", 1, "", 0, "", 0, 0, RulesRead(instruments=(new,)))
    later.append(START_NS, CODEC.encode(envelope))
    later.close()

    assert rules_of(folder) == {BTCTRY: new}
    assert rules_of(tmp_path / "nothing") == {}
