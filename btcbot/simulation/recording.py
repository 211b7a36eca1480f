"""Recorded markets, put in a pair's prices; how they are kept and read is the catalog's affair.

A foreign recording is mapped by one exact factor. Bids, and what sellers hit, are rounded down to a
tick; asks, and what buyers lift, up; quantities stay, cut to the pair's step. Where no book was
recorded, each trade is followed by the quote it implies: one tick wide, as deep as the trade. That
spread is an optimist's.
"""

from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import Final

from msgspec import Struct

from btcbot.domain.instruments import Instrument
from btcbot.domain.money import ZERO, Price, Quantity
from btcbot.domain.recorded import (
    BookMoved,
    BookSet,
    DatasetError,
    Happening,
    Quoted,
    RecordedLevels,
    Traded,
)
from btcbot.domain.words import Side
from btcbot.simulation.defaults import START_PRICES

HOME_RANGE: Final = 5  # A recording within a fifth and five times of our price is not foreign.


class Source(Struct, frozen=True):
    """A recorded market. `play` begins it anew; `has_book`: anything but trades is in it."""

    name: str
    play: Callable[[], Iterator[Happening]]
    has_book: bool


class Recording(Struct, frozen=True):
    """What happened, in a pair's prices: the recorded ones times `factor`."""

    events: Iterator[Happening]
    factor: Decimal


def open_recording(
    source: Source,
    rules: Instrument,
    start_price: Decimal | None = None,
    span_ns: tuple[int, int] | None = None,
) -> Recording:
    """Return what `source` plays as the market of `rules.pair`, within `span_ns` if given.

    It begins at `start_price`; None: as recorded if that is near what the pair costs, or nobody
    knows what it costs, else at the documented price. Raises DatasetError, also later.
    """
    recorded = first_price(source)
    usual = START_PRICES.get(rules.pair, recorded)
    is_foreign = not usual / HOME_RANGE < recorded < usual * HOME_RANGE
    start = start_price or (usual if is_foreign else recorded)
    if start < rules.tick:
        raise DatasetError(f"start price {start}: the least for {rules.pair} is {rules.tick}")
    factor = start / recorded
    events = mapped(source.play(), factor, rules)
    if span_ns is not None:
        events = between(events, *span_ns)
    if not source.has_book:
        events = with_quotes(events, rules)
    return Recording(events, factor)


def first_price(source: Source) -> Decimal:
    """Return the first middle or price a recording states. Raises DatasetError: it states none."""
    for event in source.play():
        if isinstance(event, Quoted):
            return (event.bid + event.ask) / 2
        if isinstance(event, Traded):
            return event.price
        if isinstance(event, BookSet) and event.bids and event.asks:
            return (max(event.bids)[0] + min(event.asks)[0]) / 2
    raise DatasetError(f"{source.name}: nothing here states a price")


def mapped(events: Iterable[Happening], factor: Decimal, rules: Instrument) -> Iterator[Happening]:
    """Yield the events with prices multiplied by `factor`, on the pair's ticks and steps."""
    bids = _Side(lambda price: rules.price_down(price * factor), rules)
    asks = _Side(lambda price: rules.price_up(price * factor), rules)
    least = Quantity(rules.step)
    for event in events:
        match event:
            case BookMoved():
                yield BookMoved(event.at_ns, bids.change(event.bids), asks.change(event.asks))
            case Quoted():
                bid, ask = rules.price_down(event.bid * factor), rules.price_up(event.ask * factor)
                bid_quantity = max(rules.quantity_down(event.bid_quantity), least)
                ask_quantity = max(rules.quantity_down(event.ask_quantity), least)
                yield Quoted(event.at_ns, _above_zero(bid), bid_quantity, ask, ask_quantity)
            case Traded():
                to_tick = rules.price_up if event.side is Side.BUY else rules.price_down
                quantity = rules.quantity_down(event.quantity)
                if quantity:
                    price = _above_zero(to_tick(event.price * factor))
                    yield Traded(event.at_ns, event.side, price, quantity)
            case BookSet():
                yield BookSet(event.at_ns, bids.replace(event.bids), asks.replace(event.asks))


def _above_zero(price: Price) -> Price:
    if not price:
        raise DatasetError(
            "a price falls below one tick of the pair; choose a higher --start-price"
        )
    return price


def between(events: Iterable[Happening], since_ns: int, until_ns: int) -> Iterator[Happening]:
    """Yield the events of a time range; a book recorded from before it begins whole."""
    bids: dict[Decimal, Decimal] = {}
    asks: dict[Decimal, Decimal] = {}
    is_inside = False
    for event in events:
        if event.at_ns >= until_ns:
            return
        if not is_inside and event.at_ns >= since_ns:
            is_inside = True
            if bids and asks:
                yield BookSet(event.at_ns, tuple(bids.items()), tuple(asks.items()))
        if is_inside:
            yield event
        elif isinstance(event, BookSet | BookMoved):
            if isinstance(event, BookSet):
                bids, asks = {}, {}
            _update(bids, event.bids)
            _update(asks, event.asks)


def with_quotes(events: Iterable[Happening], rules: Instrument) -> Iterator[Happening]:
    """Yield each event; after a trade, the quote it implies where nobody recorded a book."""
    for event in events:
        yield event
        if isinstance(event, Traded):
            is_bought = event.side is Side.BUY
            bid = Price(event.price - rules.tick) if is_bought else event.price
            ask = event.price if is_bought else Price(event.price + rules.tick)
            yield Quoted(event.at_ns, bid, event.quantity, ask, event.quantity)


class _Side:
    """One side of a foreign book on our ticks: several of its levels may share one of ours."""

    def __init__(self, to_tick: Callable[[Decimal], Price], rules: Instrument) -> None:
        self._to_tick, self._to_step = to_tick, rules.quantity_down
        self._theirs: dict[Decimal, tuple[Decimal, Decimal]] = {}  # Price: (ours, quantity).
        self._ours: dict[Decimal, Decimal] = {}

    def replace(self, levels: RecordedLevels) -> RecordedLevels:
        """Begin again; return the whole side."""
        self._theirs, self._ours = {}, {}
        self.change(levels)
        return tuple((price, self._to_step(total)) for price, total in self._ours.items())

    def change(self, levels: RecordedLevels) -> RecordedLevels:
        """Take changed levels; return which of ours changed, with what they hold together."""
        theirs, ours, changed = self._theirs, self._ours, {}
        for price, quantity in levels:
            known = theirs.get(price)
            tick, before = known or (self._to_tick(price), ZERO)
            if not tick:
                continue  # Too far down to have a price of ours.
            total = ours.get(tick, ZERO) + quantity - before
            if quantity:
                theirs[price] = (tick, quantity)
            elif known:
                del theirs[price]
            if total:
                ours[tick] = total
            else:
                ours.pop(tick, None)
            changed[tick] = self._to_step(total)
        return tuple(changed.items())


def _update(side: dict[Decimal, Decimal], levels: RecordedLevels) -> None:
    for price, quantity in levels:
        if quantity:
            side[price] = quantity
        else:
            side.pop(price, None)
