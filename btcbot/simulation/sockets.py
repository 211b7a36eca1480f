"""The sandbox's WebSocket sessions: joins, book batches, trades, tickers, candles, private frames.

The hub queues frames and waits for nothing; each session sends its own queue. Whoever is a thousand
frames behind is cut off.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from typing import Final

import msgspec
from msgspec import Raw, Struct
from starlette.websockets import WebSocket, WebSocketDisconnect

from btcbot.domain.ids import Pair
from btcbot.simulation import frames
from btcbot.simulation.account import Rejected
from btcbot.simulation.exchange import Event
from btcbot.simulation.faults import FrameKind
from btcbot.simulation.public import resolution_s
from btcbot.simulation.sandbox import Sandbox
from btcbot.simulation.shapes import encode

BACKLOG_MAX: Final = 1_000
JOINS_MAX: Final = 2_000
# Where the two counters of a pair begin: they differ, and prove nothing about each other.
FIRST_CHANGE_SET: Final = {"obdiff": 4_000_000, "orderbook": 460_000}
Sides = tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]]
Copies = Callable[[FrameKind], Sequence[float]]
"""After how many seconds each copy of a frame is sent; empty: it is lost."""
IsSigned = Callable[[str, int, str], bool]  # Public key, nonce, signature.


class Join(Struct):
    channel: str
    event: str
    join: bool


class Login(Struct):
    publicKey: str  # noqa: N815 - the exchange's names
    nonce: int
    signature: str


class Again(Struct):
    code: int
    channel: str
    event: str


_frame = msgspec.json.Decoder(tuple[int, Raw]).decode
_join = msgspec.json.Decoder(Join).decode
_login = msgspec.json.Decoder(Login).decode
_again = msgspec.json.Decoder(Again).decode


class Session:
    """One socket: what it joined, whether it is logged in, what waits to be sent."""

    def __init__(self) -> None:
        self.joined: set[tuple[str, str]] = set()
        self.is_private = False
        self.is_cut = False
        self._backlog: deque[str] = deque()
        self._filled = asyncio.Event()

    def say(self, *texts: str) -> None:
        """Queue frames."""
        self._backlog.extend(texts)
        if len(self._backlog) > BACKLOG_MAX:
            self._backlog.clear()
            self.is_cut = True
        self._filled.set()

    async def next(self) -> str | None:
        """Return the next frame to send; None when it is to be cut off."""
        while not self._backlog and not self.is_cut:
            self._filled.clear()
            await self._filled.wait()
        return None if self.is_cut else self._backlog.popleft()


class Hub:
    """All sessions, and what each is told; everything it tells is durable already."""

    def __init__(
        self, sandbox: Sandbox, is_signed: IsSigned, copies: Copies = lambda _kind: (0.0,)
    ) -> None:
        self._sandbox, self._is_signed, self._copies = sandbox, is_signed, copies
        self.sessions: list[Session] = []
        self._books: dict[Pair, Sides] = {
            pair: self._sides(pair) for pair in sandbox.exchange.markets
        }
        self._change_sets = dict.fromkeys(sandbox.exchange.markets, 0)

    # --- heard --------------------------------------------------------------------------------

    def hear(self, session: Session, text: str) -> None:
        """Take a frame of a client; what is not understood is not answered, as on the exchange."""
        try:
            kind, body = _frame(text)
            if kind == 151:
                self._join(session, _join(body))
            elif kind == 114:
                self._login(session, _login(body))
            elif kind == 111:
                session.say(_text(frames.token_login()))
            elif kind == 101:
                self._again(session, _again(body))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return

    def _join(self, session: Session, asked: Join) -> None:
        topic = (asked.channel, asked.event)
        was_joined = topic in session.joined
        word = "join" if asked.join else "leave"
        # ok even for what does not exist: then nothing follows.
        is_new = asked.join and not was_joined
        answer = frames.result(f"{word}|{asked.channel}:{asked.event}", ok=is_new or not asked.join)
        session.say(_text(answer))
        if not asked.join:
            session.joined.discard(topic)
        elif is_new and len(session.joined) < JOINS_MAX:
            session.joined.add(topic)
            self._welcome(session, *topic)

    def _welcome(self, session: Session, channel: str, event: str) -> None:
        """Send what a fresh subscriber needs to begin."""
        history = self._sandbox.histories.get(Pair(event))
        if history is None:
            return
        if channel in FIRST_CHANGE_SET:
            session.say(_text(self._snapshot(channel, history.rules.pair)))
        elif channel == "trade":
            session.say(_text(frames.trade_list(history)))

    def _login(self, session: Session, asked: Login) -> None:
        ok = self._is_signed(asked.publicKey, asked.nonce, asked.signature)
        session.is_private = session.is_private or ok
        session.say(_text(frames.login("" if ok else "Invalid Signature", ok=ok)))

    def _again(self, session: Session, asked: Again) -> None:
        if asked.code == 421 and ("trade", asked.event) in session.joined:
            self._welcome(session, "trade", asked.event)

    # --- told ---------------------------------------------------------------------------------

    def tell_now(self) -> None:
        """Send trades, and what happened to our orders, to those who hear them."""
        untold = self._sandbox.untold
        while untold:
            pair, trade = untold.popleft()
            self._tell("trade", pair, partial(frames.trade, pair, trade))
        self._tell_notices()
        events = self._sandbox.take_events()
        hints = [_text(frames.balance_updated(hint)) for hint in self._sandbox.hints]
        self._sandbox.hints.clear()
        hearers = [session for session in self.sessions if session.is_private]
        if not hearers:
            return
        texts = [*hints, *(_text(frame) for event in events for frame in self._frames_of(event))]
        for text in texts:
            for session in hearers:
                self._send(session, text, "private")

    def _tell_notices(self) -> None:
        while self._sandbox.notices:
            notice = _text(frames.notice(self._sandbox.notices.popleft()))
            for session in self.sessions:
                self._send(session, notice, "other")

    def tell_batch(self, now_ns: int) -> None:
        """Send what changed in each book since the last batch, then the tickers."""
        for pair, old in self._books.items():
            new = self._sides(pair)
            if new != old:
                self._books[pair] = new
                self._change_sets[pair] += 1
                self._tell("obdiff", pair, partial(self._difference, pair, old))
                self._tell("orderbook", pair, partial(self._snapshot, "orderbook", pair))
        if any(channel == "ticker" for s in self.sessions for channel, _ in s.joined):
            self._tell_tickers()
        self._tell_candles(now_ns)

    # --- inside -------------------------------------------------------------------------------

    def _tell(self, channel: str, event: str, make: Callable[[], frames.Frame]) -> None:
        """Send one frame to everybody who joined; made once, and only if somebody did."""
        hearers = [session for session in self.sessions if (channel, event) in session.joined]
        if hearers:
            text = _text(make())
            kind: FrameKind = "book" if channel in FIRST_CHANGE_SET else "other"
            for session in hearers:
                self._send(session, text, kind)

    def _send(self, session: Session, text: str, kind: FrameKind) -> None:
        """Queue a frame as often, and as late, as it is drawn."""
        for after_s in self._copies(kind):
            if after_s:
                asyncio.get_running_loop().call_later(after_s, session.say, text)
            else:
                session.say(text)

    def _tell_tickers(self) -> None:
        exchange, histories = self._sandbox.exchange, self._sandbox.histories
        rows = [frames.ticker_row(m, histories[p]) for p, m in exchange.markets.items()]
        self._tell("ticker", "all", partial(frames.tickers, rows))
        for row in rows:
            self._tell("ticker", row["PS"], partial(frames.ticker, row))

    def _tell_candles(self, now_ns: int) -> None:
        """Send the running candle of every pair and resolution that somebody joined."""
        events = {e for s in self.sessions for channel, e in s.joined if channel == "tradeview"}
        for event in sorted(events):
            pair, _, resolution = event.partition("_")
            history = self._sandbox.histories.get(Pair(pair))
            with contextlib.suppress(Rejected):
                seconds, now_s = resolution_s(resolution), now_ns // 10**9
                rows = history.candles(seconds, 0, now_s, 1) if history else []
                for row in rows:
                    make = partial(frames.candle, Pair(pair), resolution, row)
                    self._tell("tradeview", event, make)

    def _frames_of(self, event: Event) -> list[frames.Frame]:
        order = event.order
        if event.trade is not None:
            return [frames.user_trade(event.trade), frames.match(event.trade, order.method)]
        rules = self._sandbox.exchange.markets[order.pair].rules
        rate = self._sandbox.exchange.account.taker_rate(rules)
        return [frames.order(451 if event.kind == "inserted" else 452, order, rules, rate)]

    def _snapshot(self, channel: str, pair: Pair) -> frames.Frame:
        bids, asks = self._books[pair]
        change_set = FIRST_CHANGE_SET[channel] + self._change_sets[pair]
        return frames.snapshot(channel, pair, change_set, (bids.items(), asks.items()))

    def _difference(self, pair: Pair, old: Sides) -> frames.Frame:
        bids, asks = (
            frames.changes(before, after)
            for before, after in zip(old, self._books[pair], strict=True)
        )
        change_set = FIRST_CHANGE_SET["obdiff"] + self._change_sets[pair]
        return frames.difference(pair, change_set, bids, asks)

    def _sides(self, pair: Pair) -> Sides:
        bids, asks = self._sandbox.window(pair)
        return dict(bids), dict(asks)


async def serve_session(websocket: WebSocket, hub: Hub) -> None:
    """Serve one socket until either side ends it."""
    await websocket.accept()
    session = Session()
    session.say(_text(frames.WELCOME))
    hub.sessions.append(session)
    sender = asyncio.create_task(_send(websocket, session))
    try:
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if (text := message.get("text")) is not None:
                hub.hear(session, text)  # A binary frame is not answered, as on the exchange.
    finally:
        hub.sessions.remove(session)
        sender.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sender


async def _send(websocket: WebSocket, session: Session) -> None:
    """Send a session's queue; end the socket of one that does not take it."""
    with contextlib.suppress(WebSocketDisconnect, RuntimeError, OSError):
        while (frame := await session.next()) is not None:
            await websocket.send_text(frame)
        await websocket.close(1000)


def _text(frame: frames.Frame) -> str:
    return encode(frame).decode()
