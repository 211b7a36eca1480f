"""The public side of BTCTurk for market_data: joins over the socket, reads over REST."""

import logging
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from msgspec import Struct

from btcbot.btcturk import frames, wire
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
    FeedDown,
    FeedTrouble,
    FeedUp,
    Join,
    ReadBook,
    ReadRules,
    RulesRead,
)
from btcbot.domain.ids import Pair
from btcbot.domain.messages import Message

log = logging.getLogger("btcbot.btcturk")
DETAIL_MAX = 300


class BtcturkFeed:
    """Starts what market_data asks for; whatever is heard is delivered to its inbox."""

    def __init__(  # noqa: PLR0913 - what differs between one feed and another
        self,
        rest_url: str,
        ws_url: str,
        deliver: Callable[[Message], None],
        monotonic: Callable[[], int],
        *,
        silence_s: float = SILENCE_S,
        network: Network | None = None,
        hear: Hear = nobody,
    ) -> None:
        """Open the socket. A session without a frame for `silence_s` is given up.

        `hear` is told every frame and reply as it came.
        """
        self._deliver, self._hear = deliver, hear
        self._rest = Rest(rest_url, monotonic, network=network, hear=hear)
        self._drift = Drift(lambda what: log.warning("exchange_drift", extra={"error": what}))
        self._joined: dict[Pair, None] = {}
        self._session = 0
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
                self._socket.send(_joins(effect.pair, again=again))
            case ReadBook():
                self._read(f"book {effect.pair}", self._read_book(effect.pair))
            case ReadRules():
                self._read("exchange info", self._read_rules())
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

    def _up(self) -> Iterator[str]:
        self._session += 1
        self._deliver(FeedUp(session=self._session))
        yield frames.join("ticker", "all")  # The pulse by which silence is known.
        for pair in self._joined:
            yield from _joins(pair, again=False)

    def _frame(self, frame: bytes) -> None:
        self._hear("ws.public", self._session, frame)
        try:
            kind, body = frames.split(frame)
            message = frames.public(kind, body)
        except WireError as error:
            self._trouble("frame", str(error))
            return
        if message is not None:
            self._deliver(message)
        elif kind not in frames.KNOWN_TYPES:
            self._drift.note(f"frame: type {kind}")
        self._drift.look("frame", frame)

    def _trouble(self, what: str, detail: str) -> None:
        self._deliver(FeedTrouble(what=what, detail=detail[:DETAIL_MAX]))

    def _read(self, what: str, work: Coroutine[Any, Any, Message]) -> None:
        async def deliver() -> None:
            try:
                self._deliver(await work)
            except (RestError, WireError) as error:
                self._trouble(what, str(error))

        self._tasks.start(deliver(), lambda detail: self._trouble(what, detail))

    async def _read_book(self, pair: Pair) -> Message:
        body = await self._rest.get("order_book", "/api/v2/orderbook", {"pairSymbol": pair})
        self._drift.look("order_book", body)
        bids, asks = wire.book(body)
        return BookRead(pair=pair, bids=bids, asks=asks)

    async def _read_rules(self) -> Message:
        found, wrong = instruments(await self._rest.get("public", "/api/v2/server/exchangeinfo"))
        for what in wrong:  # Only these pairs are left out.
            self._trouble("rules", what)
        return RulesRead(instruments=found)


def _joins(pair: Pair, *, again: bool) -> Iterator[str]:
    """Yield the frames that give `pair` a fresh snapshot: leaving first, or none would come."""
    if again:
        yield frames.join("obdiff", pair, is_joining=False)
    yield frames.join("obdiff", pair)
    if not again:
        yield frames.join("trade", pair)
