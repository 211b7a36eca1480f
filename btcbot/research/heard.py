"""The market of a day as market_data's journal heard it: what a backtest of that day plays."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from actors import CODEC
from btcbot.domain.feed import BookChange, BookSnapshot, QuoteSeen, TextLevel, TradesSeen, WireLevel
from btcbot.domain.ids import Pair
from btcbot.domain.money import Price, Quantity
from btcbot.domain.recorded import BookMoved, BookSet, Happening, Quoted, RecordedLevels, Traded
from btcbot.research.folder import RunError
from btcbot.simulation.recording import between
from bus.envelope import Refused
from bus.journal import Entry, JournalError, read, segments

Market = dict[Pair, list[Happening]]
_levels = msgspec.json.Decoder(list[WireLevel]).decode


def market_of(journal: Path, since_ns: int, until_ns: int) -> Market:
    """Return what every pair's market did in a time range, with the whole book at its begin.

    Raises RunError for a journal that is not what was written, or has nothing of that time.
    """
    whole: Market = {}
    for path in segments(journal):
        try:
            for entry in read(path):
                if isinstance(entry, Entry) and entry.handled_ns < until_ns:
                    for pair, event in _happened(entry):
                        _add(whole.setdefault(pair, []), event)
        except (JournalError, OSError, Refused) as error:
            raise RunError(f"the market of that time is not whole: {error}") from error
    found = {pair: list(between(rows, since_ns, until_ns)) for pair, rows in whole.items()}
    found = {pair: rows for pair, rows in found.items() if rows}
    if not found:
        raise RunError(f"{journal} has heard no market at that time: it keeps seven days at most")
    return found


def _add(rows: list[Happening], event: Happening) -> None:
    """Add an event; what moves a book that nobody has seen whole says nothing."""
    if rows or isinstance(event, BookSet | Quoted):
        rows.append(event)


def _happened(entry: Entry) -> Iterator[tuple[Pair, Happening]]:
    message, at_ns = CODEC.decode(entry.frame).message, entry.handled_ns
    match message:
        case BookSnapshot():
            bids, asks = (_wired(_levels(side)) for side in (message.bids, message.asks))
            yield message.pair, BookSet(at_ns, bids, asks)
        case BookChange():
            yield message.pair, BookMoved(at_ns, _texted(message.bids), _texted(message.asks))
        case QuoteSeen():
            yield message.pair, Quoted(at_ns, *_quote(message))
        case TradesSeen() if not message.is_backlog:
            for one in message.trades:
                yield message.pair, Traded(at_ns, one.side, one.price, one.quantity)
        case _:
            pass


def _wired(levels: Iterable[WireLevel]) -> RecordedLevels:
    return tuple((Decimal(row.P), Decimal(row.A)) for row in levels)


def _texted(levels: Iterable[TextLevel]) -> RecordedLevels:
    return tuple((Decimal(row.price), Decimal(row.amount)) for row in levels)


def _quote(seen: QuoteSeen) -> tuple[Price, Quantity, Price, Quantity]:
    return seen.bid, seen.bid_quantity, seen.ask, seen.ask_quantity


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
    book: dict[str, dict[Decimal, Decimal]] = {"bids": {}, "asks": {}}
    for event in rows:
        if isinstance(event, Quoted):
            yield event.at_ns, (event.bid + event.ask) / 2
        elif isinstance(event, BookSet | BookMoved):
            for name, side in book.items():
                _move(side, event, name)
            if book["bids"] and book["asks"]:
                yield event.at_ns, (max(book["bids"]) + min(book["asks"])) / 2


def _move(side: dict[Decimal, Decimal], event: BookSet | BookMoved, name: str) -> None:
    if isinstance(event, BookSet):
        side.clear()
    levels: Any = getattr(event, name)
    for price, quantity in levels:
        if quantity:
            side[price] = quantity
        else:
            side.pop(price, None)
