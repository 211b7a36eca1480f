"""The sandbox's WebSocket sessions: joins, book batches, trades, tickers, private frames."""

import asyncio
import json
from decimal import Decimal
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from btcbot.domain.ids import Pair
from btcbot.simulation import shapes
from btcbot.simulation.exchange import Exchange
from btcbot.simulation.sandbox import PairView, PublicTrade, Sandbox

QUEUE_MAX = 1_000
VERSION = [991, {"type": 991, "current": "6.0.0", "min": "2.3.0"}]
Json = Any


class Session:
    """One socket: what it joined, whether it is logged in, what waits to be sent."""

    def __init__(self) -> None:
        self.joined: set[tuple[str, str]] = set()
        self.is_private = False
        self.queue: asyncio.Queue[str | None] = asyncio.Queue(QUEUE_MAX)

    def say(self, frame: Json) -> None:
        """Queue a frame; a reader that is a thousand behind is cut off."""
        try:
            self.queue.put_nowait(json.dumps(frame, separators=(",", ":")))
        except asyncio.QueueFull:
            self.queue = asyncio.Queue(1)
            self.queue.put_nowait(None)


class Hub:
    """All sessions, and what each is told."""

    def __init__(self, sandbox: Sandbox, keys: Any) -> None:  # noqa: ANN401 - a signer
        self._sandbox, self._keys = sandbox, keys
        self.sessions: set[Session] = set()
        self._told_tid = {pair: view.tid for pair, view in sandbox.views.items()}
        for view in sandbox.views.values():
            view.bids, view.asks = self._window(view)

    def hear(self, session: Session, text: str) -> None:
        """Take a frame of a client; what is not understood is not answered, as on the exchange."""
        try:
            kind, body = json.loads(text)
            if kind == 151:
                self._join(session, str(body["channel"]), str(body["event"]), bool(body["join"]))
            elif kind == 114:
                self._login(session, body)
        except (ValueError, TypeError, KeyError):
            return

    def tell_batches(self) -> None:
        """Send what changed in each book since the last batch, and the tickers."""
        for pair, view in self._sandbox.views.items():
            bids, asks = self._window(view)
            if (bids, asks) != (view.bids, view.asks):
                view.change_set += 1
                self._tell_book(pair, view, bids, asks)
                view.bids, view.asks = bids, asks
        self._tell_tickers()

    def tell_trades(self) -> None:
        """Send the public trades that nobody was told of."""
        for pair, view in self._sandbox.views.items():
            fresh = [trade for trade in view.trades if trade.tid > self._told_tid[pair]]
            self._told_tid[pair] = view.tid
            hearers = self._hearers("trade", pair)
            for trade in fresh if hearers else ():
                frame = _trade_frame(pair, trade)
                for session in hearers:
                    session.say(frame)

    def tell_private(self, exchange: Exchange) -> None:
        """Send what happened to our orders to every session that is logged in."""
        events, exchange.events = exchange.events, []
        hearers = [session for session in self.sessions if session.is_private]
        if not hearers:
            return
        for event in events:
            rules = exchange.markets[event.order.pair].rules
            if event.trade is not None:
                own = f"[423,{shapes.own_trade(event.trade)}]"
                frames = [json.loads(own), shapes.match_frame(event.trade, event.order)]
            else:
                kind = 451 if event.kind == "inserted" else 452
                frames = [shapes.order_frame(kind, event.order, exchange.account, rules)]
            for session in hearers:
                for frame in frames:
                    session.say(frame)

    # --- inside -------------------------------------------------------------------------------

    def _window(self, view: PairView) -> tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]]:
        bids, asks = self._sandbox.window(view.rules.pair)
        return dict(bids), dict(asks)

    def _hearers(self, channel: str, event: str) -> list[Session]:
        return [s for s in self.sessions if (channel, event) in s.joined]

    def _join(self, session: Session, channel: str, event: str, is_joining: bool) -> None:  # noqa: FBT001
        was_joined = (channel, event) in session.joined
        word = "join" if is_joining else "leave"
        ok = not (is_joining and was_joined)
        answer = {"type": 100, "ok": ok, "message": f"{word}|{channel}:{event}"}
        session.say([100, answer])  # ok even for what does not exist: then nothing follows.
        if not is_joining:
            session.joined.discard((channel, event))
        elif not was_joined:
            session.joined.add((channel, event))
            view = self._sandbox.views.get(Pair(event))
            if view is not None:
                self._welcome(session, channel, view)

    def _welcome(self, session: Session, channel: str, view: PairView) -> None:
        pair = view.rules.pair
        if channel in ("obdiff", "orderbook"):
            session.say(_book_frame(channel, view))
        elif channel == "trade":
            items = [shapes.public_trade(trade) for trade in view.trades]
            body = {"symbol": pair, "items": items, "channel": "trade", "event": pair, "type": 421}
            session.say([421, body])

    def _login(self, session: Session, body: Json) -> None:
        signature = self._keys.sign(int(body["nonce"]))
        ok = body["publicKey"] == self._keys.key and body["signature"] == signature
        session.is_private = ok
        message = "Ok" if ok else "Invalid Signature"
        session.say([114, {"type": 114, "ok": ok, "message": message}])

    def _tell_book(
        self, pair: Pair, view: PairView, bids: dict[Decimal, Decimal], asks: dict[Decimal, Decimal]
    ) -> None:
        if hearers := self._hearers("obdiff", pair):
            body = {
                "CS": view.change_set, "PS": pair, "AO": shapes.changes(view.asks, asks),
                "BO": shapes.changes(view.bids, bids), "channel": "obdiff", "event": pair,
                "type": 432,
            }  # fmt: skip
            for session in hearers:
                session.say([432, body])
        view.bids, view.asks = bids, asks
        for session in self._hearers("orderbook", pair):
            session.say(_book_frame("orderbook", view))

    def _tell_tickers(self) -> None:
        everybody = self._hearers("ticker", "all")
        rows = [shapes.ticker_row(self._sandbox, view) for view in self._sandbox.views.values()]
        if everybody:
            items = [{**row, "Ord": n} for n, row in enumerate(rows)]
            for session in everybody:
                session.say(
                    [401, {"items": items, "channel": "ticker", "event": "all", "type": 401}]
                )
        for row in rows:
            for session in self._hearers("ticker", row["PS"]):
                session.say([402, {**row, "channel": "ticker", "event": row["PS"], "type": 402}])


async def session(websocket: WebSocket, hub: Hub) -> None:
    """Serve one socket until either side ends it."""
    await websocket.accept()
    mine = Session()
    mine.say(VERSION)
    hub.sessions.add(mine)
    sender = asyncio.create_task(_send(websocket, mine))
    try:
        while True:
            hub.hear(mine, await websocket.receive_text())
    except (WebSocketDisconnect, KeyError):
        return  # KeyError: a binary frame; the exchange would not answer it either.
    finally:
        hub.sessions.discard(mine)
        sender.cancel()


async def _send(websocket: WebSocket, mine: Session) -> None:
    while True:
        frame = await mine.queue.get()
        if frame is None:
            await websocket.close(1000)
            return
        await websocket.send_text(frame)


def _book_frame(channel: str, view: PairView) -> Json:
    pair = view.rules.pair
    body = {
        "CS": view.change_set, "PS": pair, "AO": shapes.levels(view.asks.items()),
        "BO": shapes.levels(view.bids.items()), "channel": channel, "event": pair, "type": 431,
    }  # fmt: skip
    return [431, body]


def _trade_frame(pair: Pair, trade: PublicTrade) -> Json:
    body = {**shapes.public_trade(trade), "PS": pair}
    return [422, {**body, "channel": "trade", "event": pair, "type": 422}]
