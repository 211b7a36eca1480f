"""The market of a day as market_data's journal heard it: what a backtest of that day plays."""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec

from actors import CODEC
from btcbot.domain.feed import (
    BookChange,
    BookSnapshot,
    RulesRead,
    TextLevel,
    TradesSeen,
    WireLevel,
)
from btcbot.domain.ids import Pair
from btcbot.domain.instruments import Instrument
from btcbot.domain.recorded import BookMoved, BookSet, Happening, RecordedLevels, Traded
from btcbot.research.folder import RunError
from btcbot.research.lines import OrderLine
from btcbot.simulation.recording import between
from bus.envelope import Refused
from bus.journal import Entry, JournalError, read, segments

LAST_NS: Final = 1 << 62
Market = dict[Pair, list[Happening]]
_levels = msgspec.json.Decoder(list[WireLevel]).decode


def market_of(journal: Path, since_ns: int, until_ns: int) -> Market:
    """Return what every pair's market did in a time range, with the whole book at its begin.

    Raises RunError for a journal that is not what was written, or has nothing of that time.
    """
    whole: Market = {}
    try:
        for entry in _entries(journal):
            if entry.handled_ns < until_ns:
                for pair, event in _happened(entry):
                    _add(whole.setdefault(pair, []), event)
    except (JournalError, OSError, Refused) as error:
        raise RunError(f"the market of that time is not whole: {error}") from error
    found = {pair: list(between(rows, since_ns, until_ns)) for pair, rows in whole.items()}
    found = {pair: rows for pair, rows in found.items() if rows}
    if not found:
        raise RunError(f"{journal} has heard no market at that time: it keeps seven days at most")
    return found


def rules_of(journal: Path) -> dict[Pair, Instrument]:
    """Return the exchange's rules as they were last read by a life; empty: that is not on record.

    Raises RunError for a journal that is not what was written.
    """
    try:
        for path in reversed(segments(journal)):
            for entry in read(path):
                if isinstance(entry, Entry):
                    message = CODEC.decode(entry.frame).message
                    if isinstance(message, RulesRead):
                        return {rules.pair: rules for rules in message.instruments}
    except (JournalError, OSError, Refused) as error:
        raise RunError(f"the rules of that time cannot be read: {error}") from error
    return {}


def _add(rows: list[Happening], event: Happening) -> None:
    """Add an event; what moves a book that nobody has seen whole says nothing."""
    if rows or isinstance(event, BookSet):
        rows.append(event)


def _happened(entry: Entry) -> Iterator[tuple[Pair, Happening]]:
    message, at_ns = CODEC.decode(entry.frame).message, entry.handled_ns
    match message:
        case BookSnapshot():
            bids, asks = (_wired(_levels(side)) for side in (message.bids, message.asks))
            yield message.pair, BookSet(at_ns, bids, asks)
        case BookChange():
            yield message.pair, BookMoved(at_ns, _texted(message.bids), _texted(message.asks))
        case TradesSeen() if not message.is_backlog:
            for one in message.trades:
                yield message.pair, Traded(at_ns, one.side, one.price, one.quantity)
        case _:
            pass


def _wired(levels: Iterable[WireLevel]) -> RecordedLevels:
    return tuple((Decimal(row.P), Decimal(row.A)) for row in levels)


def _texted(levels: Iterable[TextLevel]) -> RecordedLevels:
    return tuple((Decimal(row.price), Decimal(row.amount)) for row in levels)


def arrivals(journal: Path, orders: Iterable[OrderLine]) -> dict[str, Decimal]:
    """Return the middle of the book when each order was decided, by client order id.

    Orders of a time that the journal does not reach, or in which it is damaged, are not in it.
    """
    waiting: dict[str, deque[OrderLine]] = {}
    for line in sorted(orders, key=lambda line: line.decided_ns):
        waiting.setdefault(line.pair, deque()).append(line)
    books = {pair: Book() for pair in waiting}
    found: dict[str, Decimal] = {}
    try:
        for entry in _entries(journal if waiting else None):
            for pair, event in _happened(entry):
                if pair in books:
                    found |= books[pair].arrived(waiting[pair], event.at_ns)
                    books[pair].move(event)
    except (JournalError, OSError, Refused):
        return found
    for name, book in books.items():
        found |= book.arrived(waiting[name], LAST_NS)
    return found


def _entries(journal: Path | None) -> Iterator[Entry]:
    for path in segments(journal) if journal is not None else ():
        for entry in read(path):
            if isinstance(entry, Entry):
                yield entry


class Book:
    """One pair's levels as they were heard."""

    def __init__(self) -> None:
        self.bids: dict[Decimal, Decimal] = {}
        self.asks: dict[Decimal, Decimal] = {}

    @property
    def middle(self) -> Decimal | None:
        return (max(self.bids) + min(self.asks)) / 2 if self.bids and self.asks else None

    def move(self, event: Happening) -> None:
        if isinstance(event, BookSet | BookMoved):
            for side, levels in ((self.bids, event.bids), (self.asks, event.asks)):
                if isinstance(event, BookSet):
                    side.clear()
                _update(side, levels)

    def arrived(self, waiting: deque[OrderLine], until_ns: int) -> dict[str, Decimal]:
        """Return the middle for the orders that were decided before `until_ns`."""
        found = {}
        while waiting and waiting[0].decided_ns < until_ns:
            line, middle = waiting.popleft(), self.middle
            if middle is not None:
                found[line.client_order_id] = middle
        return found


def _update(side: dict[Decimal, Decimal], levels: RecordedLevels) -> None:
    for price, quantity in levels:
        if quantity:
            side[price] = quantity
        else:
            side.pop(price, None)


class Middles:
    """The middle of the book of every pair at any time."""

    def __init__(self, market: Market) -> None:
        self._times: dict[str, list[int]] = {}
        self._values: dict[str, list[Decimal]] = {}
        for pair, rows in market.items():
            steps = list(_middles(rows))
            self._times[pair] = [at_ns for at_ns, _ in steps]
            self._values[pair] = [value for _, value in steps]

    def __call__(self, pair: str, at_ns: int) -> Decimal | None:
        """Return the middle at that time; None: nothing of it was seen by then."""
        place = bisect_right(self._times.get(pair, ()), at_ns)
        return self._values[pair][place - 1] if place else None

    def last(self) -> Mapping[str, Decimal]:
        return {pair: values[-1] for pair, values in self._values.items() if values}


def _middles(rows: Iterable[Happening]) -> Iterator[tuple[int, Decimal]]:
    book = Book()
    for event in rows:
        book.move(event)
        middle = None if isinstance(event, Traded) else book.middle
        if middle is not None:
            yield event.at_ns, middle
