"""A recording as the sandbox's market of one pair: the same frames at the same pace, over and over.

A foreign recording is mapped to the pair's price by one exact factor (`recording.open_recording`).
"""

from collections.abc import Iterator
from decimal import Decimal

from btcbot.domain.instruments import Instrument
from btcbot.domain.recorded import BookMoved, BookSet, DatasetError, Happening, Quoted, Traded
from btcbot.simulation.recording import Source, first_price, open_recording
from btcbot.simulation.sandbox import Sandbox


class Player:
    """Plays a recorded market, read lazily, into a sandbox."""

    def __init__(self, source: Source, rules: Instrument) -> None:
        """Begin at the start of the recording. Raises DatasetError when it cannot be played."""
        self.pair = rules.pair
        self._source, self._rules = source, rules
        self._events, self._next = self._begin()
        self._until_ns = self._next.at_ns
        factor = open_recording(source, rules).factor
        self.start: Decimal = rules.price_down(first_price(source) * factor)

    def play(self, sandbox: Sandbox, seconds: float, now_ns: int) -> None:
        """Let `seconds` of the recording happen now; at its end, begin again."""
        self._until_ns += round(seconds * 1e9)
        while self._next.at_ns <= self._until_ns:
            self._happen(sandbox, self._next, now_ns)
            following = next(self._events, None)
            if following is None:
                self._events, self._next = self._begin()
                self._until_ns = self._next.at_ns
                return
            self._next = following

    def _begin(self) -> tuple[Iterator[Happening], Happening]:
        events = open_recording(self._source, self._rules).events
        first = next(events, None)
        if first is None:
            raise DatasetError(f"{self._source.name}: nothing happens in it")
        return events, first

    def _happen(self, sandbox: Sandbox, event: Happening, now_ns: int) -> None:
        exchange, pair = sandbox.exchange, self.pair
        match event:
            case BookMoved():
                exchange.change_book(pair, event.bids, event.asks, now_ns)
            case Traded():
                sandbox.print_trade(pair, event.side, event.price, event.quantity, now_ns)
            case BookSet():
                exchange.set_book(pair, event.bids, event.asks, now_ns)
            case Quoted():
                exchange.set_top(pair, event, now_ns)
