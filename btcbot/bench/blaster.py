"""A stand-in for the exchange that sends more than it: `python -m btcbot.bench.blaster`.

It speaks the public protocol to one client: joins, snapshots, consecutive changes of books that
hold together, trades with growing ids, tickers that agree. The amount of each best bid is the time
at which its frame was sent, so a hearer of tops can tell how old they are.
"""

import asyncio
import random
import socket
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct, field
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from btcbot.parent import die_with_parent

BATCH_S: Final = 0.02
LEVELS: Final = 100
BAND: Final = 2_000  # How far from the middle a level may lie.
STAMP_DIGITS: Final = 16  # A monotonic time in us, written as the decimals of an amount.
HISTORY: Final = 50
NO_CANDLES: Final = b'{"s":"no_data","t":[],"o":[],"h":[],"l":[],"c":[],"v":[]}'
WAIT_S: Final = 30.0  # For all joins.
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.decode


class Sent(Struct):
    """What went out, for whoever judges what came in."""

    frames: int = 0
    trades: dict[str, int] = field(default_factory=dict)
    began_ns: int = 0
    ended_ns: int = 0
    slowest_batch_s: float = 0.0


def stamp() -> str:
    """Return now as the amount of a level."""
    return f"0.{time.monotonic_ns() // 1_000:0{STAMP_DIGITS}d}"


class Pair:
    """One pair's book and trades, as the exchange has them."""

    def __init__(self, name: str, draw: random.Random) -> None:
        self.name, self._draw = name, draw
        self.change_set = draw.randint(10**5, 10**7)
        middle = draw.randint(10**4, 10**6)
        self._middle = middle
        self.bids = {middle - 7 * n: "0.5" for n in range(1, LEVELS + 1)}
        self.asks = {middle + 7 * n: "0.5" for n in range(1, LEVELS + 1)}
        self.trade_id = draw.randint(10**6, 10**9)
        self.last, self.volume = middle, 1_000
        self.trades: deque[dict[str, Any]] = deque(maxlen=HISTORY)

    def snapshot(self) -> list[Any]:
        asks = [{"A": amount, "P": str(price)} for price, amount in sorted(self.asks.items())]
        bids = [{"A": amount, "P": str(p)} for p, amount in sorted(self.bids.items(), reverse=True)]
        return [431, self._body("obdiff", 431, CS=self.change_set, PS=self.name, AO=asks, BO=bids)]

    def change(self) -> list[Any]:
        """Move the book a little: some amounts, a level in and one out, and the stamped touch."""
        self.change_set += 1
        draw, out = self._draw, {}
        for side, levels, sign in (("BO", self.bids, -1), ("AO", self.asks, 1)):
            prices = sorted(levels, reverse=sign < 0)
            rows = [(0, p, f"{draw.randint(1, 10**8) / 10**8:.8f}") for p in prices[3:9:2]]
            gone, new = prices[draw.randint(20, 90)], self._hole(levels, sign)
            rows += [(3, gone, levels[gone]), (1, new, "1.25")]
            if sign < 0:
                rows.append((0, prices[0], stamp()))
            for kind, price, amount in rows:
                if kind == 3:
                    del levels[price]
                else:
                    levels[price] = amount
            out[side] = [{"CP": kind, "P": str(price), "A": amount} for kind, price, amount in rows]
        return [432, self._body("obdiff", 432, CS=self.change_set, PS=self.name, **out)]

    def _hole(self, levels: dict[int, str], sign: int) -> int:
        """Return a price away from the touch where there is no level."""
        while True:
            price = self._middle + sign * self._draw.randint(100, BAND)
            if price not in levels:
                return price

    def trade(self) -> list[Any]:
        draw = self._draw
        self.trade_id += draw.randint(1, 3)
        self.volume += 1
        self.last = min(self.asks) if draw.random() < 0.5 else max(self.bids)
        row = {
            "D": str(time.time_ns() // 1_000_000),
            "I": str(self.trade_id),
            "A": f"{draw.randint(1, 10**8) / 10**8:.10f}",
            "P": f"{self.last}.0000000000",
            "S": draw.randint(0, 1),
        }
        self.trades.append(row)
        return [422, self._body("trade", 422, **row, PS=self.name)]

    def trade_list(self) -> list[Any]:
        rows = list(reversed(self.trades))
        return [421, self._body("trade", 421, symbol=self.name, items=rows)]

    def ticker(self) -> dict[str, Any]:
        bid, ask = max(self.bids), min(self.asks)
        return {
            "B": str(bid), "A": str(ask), "BA": self.bids[bid], "AA": self.asks[ask],
            "PS": self.name, "H": str(ask), "L": str(bid), "LA": str(self.last), "O": str(bid),
            "V": str(self.volume), "AV": str(bid), "D": "7", "DP": "0.01", "DS": "TRY",
            "NS": self.name[:-3], "PId": 1, "Ord": 1,
        }  # fmt: skip

    def _body(self, channel: str, kind: int, **fields: Any) -> dict[str, Any]:  # noqa: ANN401
        return {**fields, "channel": channel, "event": self.name, "type": kind}


class Blaster:
    """Serves joins at once and blasts when every pair is joined."""

    def __init__(self, names: list[str], rate: float, seconds: float, probe: int) -> None:
        """Blast at `rate` frames a second for `seconds`; stamp datagrams to port `probe` beside."""
        self._probe = ("127.0.0.1", probe)
        self._datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._datagrams.settimeout(0)
        draw = random.Random(7)
        self.pairs = {name: Pair(name, draw) for name in names}
        self._draw, self._rate, self._seconds = draw, rate, seconds
        self._joined: set[tuple[str, str]] = set()
        self._is_ready = asyncio.Event()
        self.sent = Sent(trades=dict.fromkeys(names, 0))
        self.is_done = asyncio.Event()

    async def session(self, connection: ServerConnection) -> None:
        await self._say(connection, [991, {"type": 991, "current": "6.0.0", "min": "2.3.0"}])
        blast = asyncio.create_task(self._blast(connection))
        with suppress(ConnectionClosed):
            async for text in connection:
                for frame in self._answers(_decode(text)[1]):
                    await self._say(connection, frame)
        blast.cancel()

    async def web(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer exchange info over HTTP, and with no candles to anything else."""
        head = await reader.readuntil(b"\r\n\r\n")
        is_info = b"exchangeinfo" in head.split(b"\r\n")[0]
        body = _encode(self._info()) if is_info else NO_CANDLES
        size = str(len(body)).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " + size)
        writer.write(b"\r\n\r\n" + body)
        await writer.drain()
        writer.close()

    def _answers(self, asked: dict[str, Any]) -> Iterator[list[Any]]:
        channel, event, is_joining = asked["channel"], asked["event"], asked["join"]
        word = "join" if is_joining else "leave"
        text = f"{word}|{channel}:{event}"
        yield [100, {"type": 100, "ok": True, "message": text}]
        if not is_joining:
            self._joined.discard((channel, event))
            return
        self._joined.add((channel, event))
        pair = self.pairs.get(event)
        if pair is not None:
            yield pair.snapshot() if channel == "obdiff" else pair.trade_list()
        if len(self._joined) == 2 * len(self.pairs) + 1:
            self._is_ready.set()

    async def _blast(self, connection: ServerConnection) -> None:
        async with asyncio.timeout(WAIT_S):
            await self._is_ready.wait()
        loop, sent = asyncio.get_running_loop(), self.sent
        sent.began_ns, began = time.monotonic_ns(), loop.time()
        names = list(self.pairs)
        while (past := loop.time() - began) < self._seconds:
            while sent.frames < past * self._rate:
                await self._say(connection, self._next(names))
                sent.frames += 1
            with suppress(OSError):  # The hearer is full: its loss, not the exchange's.
                self._datagrams.sendto(stamp().encode(), self._probe)
            sent.slowest_batch_s = max(sent.slowest_batch_s, loop.time() - began - past)
            await asyncio.sleep(BATCH_S)
        sent.ended_ns = time.monotonic_ns()
        self.is_done.set()
        while True:  # The pulse goes on: minutes close while the session lives.
            await self._say(connection, self._tickers())
            await asyncio.sleep(0.76)

    def _next(self, names: list[str]) -> list[Any]:
        """Return the next frame: of twenty, fourteen changes, five trades, one of all tickers."""
        turn = self.sent.frames % 20
        if turn == 0:
            return self._tickers()
        pair = self.pairs[self._draw.choice(names)]
        if turn % 4 == 1:
            self.sent.trades[pair.name] += 1
            return pair.trade()
        return pair.change() if ("obdiff", pair.name) in self._joined else self._tickers()

    def _tickers(self) -> list[Any]:
        rows = [pair.ticker() for pair in self.pairs.values()]
        return [401, {"items": rows, "channel": "ticker", "event": "all", "type": 401}]

    def _info(self) -> dict[str, Any]:
        rows = [
            {
                "name": name, "status": "TRADING", "numerator": name[:-3], "denominator": "TRY",
                "numeratorScale": 8, "denominatorScale": 0, "hasFraction": False,
                "filters": [{"filterType": "PRICE_FILTER", "tickSize": "1",
                             "minExchangeValue": "99.91"}],
                "orderMethods": ["MARKET", "LIMIT"],
            }
            for name in self.pairs
        ]  # fmt: skip
        return {"data": {"symbols": rows}, "success": True, "message": None, "code": 0}

    async def _say(self, connection: ServerConnection, frame: list[Any]) -> None:
        await connection.send(_encode(frame).decode())


async def main(folder: Path, names: list[str], rate: float, seconds: float, probe: int) -> None:
    """Serve until told to end; `ports.json` says where, `sent.json` what, when all was sent."""
    blaster = Blaster(names, rate, seconds, probe)
    async with (
        serve(blaster.session, "127.0.0.1", 0, compression=None) as sockets,
        await asyncio.start_server(blaster.web, "127.0.0.1", 0) as web,
    ):
        ports = [next(iter(server.sockets)).getsockname()[1] for server in (sockets, web)]
        (folder / "ports.part").write_bytes(_encode(ports))
        (folder / "ports.part").rename(folder / "ports.json")
        await blaster.is_done.wait()
        (folder / "sent.part").write_bytes(_encode(blaster.sent))
        (folder / "sent.part").rename(folder / "sent.json")
        await asyncio.Event().wait()


if __name__ == "__main__":
    where, listed, per_second, how_long, to, parent = sys.argv[1:]
    die_with_parent(int(parent))
    asyncio.run(main(Path(where), listed.split(","), float(per_second), float(how_long), int(to)))
