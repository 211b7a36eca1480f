"""The public side of BTCTurk for market_data: joins over the socket, reads over REST."""

import logging
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from msgspec import Struct

from btcbot.btcturk import frames, public, public_frames, wire
from btcbot.btcturk.drift import Drift
from btcbot.btcturk.grammar import WireError
from btcbot.btcturk.hear import Hear, nobody
from btcbot.btcturk.network import Network
from btcbot.btcturk.rest import Rest, RestError
from btcbot.btcturk.rules import instruments
from btcbot.btcturk.stream import SILENCE_S, Socket
from btcbot.btcturk.tasks import Tasks
from btcbot.domain.feed import (
    BookRead,
    CandlesRead,
    FeedDown,
    FeedTrouble,
    FeedUp,
    Join,
    JoinTickers,
    JoinTrades,
    ReadBook,
    ReadCandles,
    ReadRules,
    RulesRead,
    SeenCandle,
)
from btcbot.domain.ids import Pair
from btcbot.domain.messages import Message, Ohlc
from btcbot.domain.money import Price, Quantity

log = logging.getLogger("btcbot.btcturk")
DETAIL_MAX = 300
SECOND_NS = 1_000_000_000
LARGE, LARGE_EVERY = 2_048, 64


class BtcturkFeed:
    """Starts what market_data asks for; whatever is heard is delivered to its inbox."""

    def __init__(  # noqa: PLR0913 - what differs between one feed and another
        self,
        rest_url: str,
        ws_url: str,
        deliver: Callable[[Message], None],
        monotonic: Callable[[], int],
        *,
        graph_url: str = "",
        silence_s: float = SILENCE_S,
        network: Network | None = None,
        hear: Hear = nobody,
    ) -> None:
        """Open the socket. A session without data for `silence_s` is given up.

        `graph_url`: the charts' host; empty: the same as `rest_url`. `hear` is told every frame
        and reply as it came.
        """
        self._deliver, self._hear = deliver, hear
        self._rest = Rest(rest_url, monotonic, network=network, hear=hear)
        self._graph = self._rest
        if graph_url:
            self._graph = Rest(graph_url, monotonic, network=network, hear=hear)
        self._drift = Drift(lambda what: log.warning("exchange_drift", extra={"error": what}))
        self._joined: dict[Pair, None] = {}
        self._reading: set[str] = set()
        self._session = self._large = 0
        self._tasks = Tasks()
        self._socket = Socket(
            ws_url,
            monotonic,
            on_up=self._up,
            on_frame=self._frame,
            on_down=lambda reason: deliver(FeedDown(reason=reason)),
            silence_s=silence_s,
            network=network,
        )

    def start(self, effect: Struct) -> None:
        """Begin one effect of `domain.feed`; its outcome comes through `deliver`."""
        match effect:
            case Join():
                again = effect.pair in self._joined
                self._joined[effect.pair] = None
                self._socket.send(_again("obdiff", effect.pair) if again else _joins(effect.pair))
            case JoinTrades():
                self._socket.send(_again("trade", effect.pair))
            case JoinTickers():
                self._socket.send(_again("ticker", "all"))
            case ReadBook():
                self._read(f"book {effect.pair}", self._read_book(effect.pair))
            case ReadRules():
                self._read("exchange info", self._read_rules())
            case ReadCandles():
                self._read(f"candles {effect.pair}", self._read_candles(effect))
            case _:
                raise AssertionError(f"not an effect of the feed: {effect}")

    @property
    def drift(self) -> dict[str, int]:
        """What the exchange said that nobody told us of, counted by name."""
        return dict(self._drift.counts)

    async def close(self) -> None:
        await self._tasks.close()
        await self._socket.close()
        await self._rest.close()
        await self._graph.close()

    def _up(self) -> Iterator[str]:
        self._session += 1
        self._deliver(FeedUp(session=self._session))
        yield frames.join("ticker", "all")  # The pulse by which silence is known.
        for pair in self._joined:
            yield from _joins(pair)

    def _frame(self, frame: bytes) -> None:
        self._hear("ws.public", self._session, frame)
        try:
            kind, message = public_frames.read(frame, self._joined)
        except WireError as error:
            self._trouble("frame", str(error))
            return
        if kind in public_frames.DATA:
            self._socket.is_alive()  # An answer to a join of ours is no data.
        if message is not None:
            self._deliver(message)
        elif kind not in frames.KNOWN_TYPES:
            self._drift.note(f"frame: type {kind}")
        self._look(frame)

    def _look(self, frame: bytes) -> None:
        """Look for what nobody told us of; rarely into a large frame: its many rows are alike."""
        self._large += len(frame) > LARGE
        if len(frame) <= LARGE or self._large % LARGE_EVERY == 1:
            self._drift.look("frame", frame)

    def _trouble(self, what: str, detail: str) -> None:
        self._deliver(FeedTrouble(what=what, detail=detail[:DETAIL_MAX]))

    def _read(self, what: str, work: Coroutine[Any, Any, Message]) -> None:
        """Read once for all who want the same meanwhile: each reply is heard by everybody."""
        if what in self._reading:
            work.close()
            return
        self._reading.add(what)

        async def deliver() -> None:
            try:
                self._deliver(await work)
            except (RestError, WireError) as error:
                self._trouble(what, str(error))
            finally:
                self._reading.discard(what)

        self._tasks.start(deliver(), lambda detail: self._trouble(what, detail))

    async def _read_book(self, pair: Pair) -> Message:
        body = await self._rest.get("order_book", "/api/v2/orderbook", {"pairSymbol": pair})
        self._drift.look("order_book", body)
        bids, asks, event_ns = wire.book(body)
        return BookRead(pair=pair, event_ns=event_ns, bids=bids, asks=asks)

    async def _read_rules(self) -> Message:
        found, wrong = instruments(await self._rest.get("public", "/api/v2/server/exchangeinfo"))
        for what in wrong:  # Only these pairs are left out.
            self._trouble("rules", what)
        if not found:  # Not a market without pairs: an answer that says nothing.
            raise WireError("exchange info names no pair that we can read")
        return RulesRead(instruments=found)

    async def _read_candles(self, asked: ReadCandles) -> Message:
        params: dict[str, str | int] = {
            "symbol": asked.pair,
            "resolution": "1",
            "from": asked.from_ns // SECOND_NS,
            "to": asked.to_ns // SECOND_NS,
        }
        found = public.candles(await self._graph.get("chart", "/v1/klines/history", params))
        rows = (_minute(row) for row in found)
        # A running minute is no candle yet, whatever range was asked for.
        inside = tuple(row for row in rows if asked.from_ns <= row.start_ns < asked.to_ns)
        return CandlesRead(pair=asked.pair, candles=inside)


def _minute(row: public.Candle) -> SeenCandle:
    prices = Ohlc(
        open=Price(row.open), high=Price(row.high), low=Price(row.low), close=Price(row.close)
    )
    return SeenCandle(row.start_s * SECOND_NS, prices, Quantity(row.volume))


def _joins(pair: Pair) -> Iterator[str]:
    """Yield the frames that join what we want of `pair`, for the first time in a session."""
    yield frames.join("obdiff", pair)
    yield frames.join("trade", pair)


def _again(channel: str, event: str) -> Iterator[str]:
    """Yield the frames that bring a fresh start: leaving first, or a second join brings nothing."""
    yield frames.join(channel, event, is_joining=False)
    yield frames.join(channel, event)
