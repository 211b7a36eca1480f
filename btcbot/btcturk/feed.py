"""The public side of BTCTurk for market_data: joins over the socket, reads over REST."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from msgspec import Struct

from btcbot.btcturk import frames, wire
from btcbot.btcturk.rest import Rest, RestError
from btcbot.btcturk.stream import Socket
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


class BtcturkFeed:
    """Starts what market_data asks for; whatever is heard is delivered to its inbox."""

    def __init__(
        self,
        rest_url: str,
        ws_url: str,
        deliver: Callable[[Message], None],
        monotonic: Callable[[], int],
    ) -> None:
        self._deliver = deliver
        self._rest = Rest(rest_url, monotonic)
        self._joined: dict[Pair, None] = {}
        self._session = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._socket = Socket(
            ws_url, on_up=self._up, on_frame=self._frame, on_down=self._down
        )

    def start(self, effect: Struct) -> None:
        """Begin one effect of `domain.feed`; its outcome comes through `deliver`."""
        match effect:
            case Join():
                again = effect.pair in self._joined
                self._joined[effect.pair] = None
                for frame in _joins(effect.pair, again=again):
                    self._socket.send(frame)
            case ReadBook():
                self._run(f"book {effect.pair}", self._read_book(effect.pair))
            case ReadRules():
                self._run("exchange info", self._read_rules())
            case _:
                raise AssertionError(f"not an effect of the feed: {effect}")

    async def close(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await self._socket.close()
        await self._rest.close()

    def _up(self) -> Iterator[str]:
        self._session += 1
        self._deliver(FeedUp(session=self._session))
        yield frames.join("ticker", "all")  # The pulse by which silence is known.
        for pair in self._joined:
            yield from _joins(pair, again=False)

    def _frame(self, frame: str | bytes) -> None:
        try:
            message = frames.public(frame)
        except wire.WireError as error:
            self._deliver(FeedTrouble(what="frame", detail=str(error)[:300]))
            return
        if message is not None:
            self._deliver(message)

    def _down(self, reason: str) -> None:
        self._deliver(FeedDown(reason=reason))

    def _run(self, what: str, work: Coroutine[Any, Any, Message]) -> None:
        async def deliver() -> None:
            try:
                self._deliver(await work)
            except (RestError, wire.WireError) as error:
                self._deliver(FeedTrouble(what=what, detail=str(error)[:300]))

        task = asyncio.get_running_loop().create_task(deliver())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _read_book(self, pair: Pair) -> Message:
        body = await self._rest.get("order_book", "/api/v2/orderbook", {"pairSymbol": pair})
        bids, asks = wire.book(body)
        return BookRead(pair=pair, bids=bids, asks=asks)

    async def _read_rules(self) -> Message:
        body = await self._rest.get("public", "/api/v2/server/exchangeinfo")
        return RulesRead(instruments=wire.instruments(body))


def _joins(pair: Pair, *, again: bool) -> Iterator[str]:
    """Yield the frames that give `pair` a fresh snapshot: leaving first, or none would come."""
    if again:
        yield frames.join("obdiff", pair, is_joining=False)
    yield frames.join("obdiff", pair)
    if not again:
        yield frames.join("trade", pair)
