"""The real market_data process under ten times the exchange's recorded traffic; see scripts/.

Judged: no trade is lost (each is said, and the minutes add up), the newest top a hearer has is
young, every feed stays LIVE, the process does not grow. Exit 7 when one of them does not hold.

A top goes from process to process to process. What a busy machine makes each of these two steps
wait is measured beside, by bare datagrams from the first to the last, and is not held against us.
"""

import argparse
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec
import psutil
import zmq
from msgspec import Struct, field

from actors import CODEC
from btcbot.bench.blaster import STAMP_DIGITS, Sent
from btcbot.config import Config, freeze
from btcbot.domain.ids import Pair
from btcbot.domain.messages import BookTop, Candle, FeedState, Trade, TradesGap
from btcbot.domain.words import FeedStatus
from btcbot.sections import Exchange
from bus.zeromq import published

RECORDED: Final = 153.0  # Frames a second: all books of the exchange, September 2026.
TIMES: Final = 10
AGE_MAX_MS: Final = 250.0  # At p99.
GROWTH_MAX_MB: Final = 6.0
LATE_S: Final = 70.0  # Until the last minute is closed.
PROBLEM: Final = 7
UNSTAMPED: Final = Decimal("0.5")  # The amount of a level that no change has touched.


class Heard(Struct):
    """What a hearer of market_data saw."""

    trades: Counter[str] = field(default_factory=Counter)
    minutes: dict[tuple[str, int], Candle] = field(default_factory=dict)
    gaps: int = 0
    tops: int = 0
    ages_us: list[int] = field(default_factory=list)
    bare_us: list[int] = field(default_factory=list)
    live: set[str] = field(default_factory=set)
    fell: list[str] = field(default_factory=list)
    cpu_s: float = 0.0
    rss_mb: list[tuple[float, float]] = field(default_factory=list)

    def take(self, message: Struct) -> None:
        match message:
            case Trade():
                self.trades[message.pair] += 1
            case TradesGap():
                self.gaps += 1
            case Candle():
                self.minutes[message.pair, message.start_ns] = message
            case FeedState(status=FeedStatus.LIVE):
                self.live.add(message.pair)
            case FeedState() if message.pair in self.live:
                self.fell.append(f"{message.pair} {message.status}: {message.reason}")
            case BookTop():
                self._top(message)

    def _top(self, top: BookTop) -> None:
        """Note how old a top is when it is heard; one that is only confirmed again is not new."""
        self.tops += 1
        is_stamped = top.bid_quantity < UNSTAMPED
        if is_stamped and top.changed_ns == top.confirmed_ns:
            self.ages_us.append(_age_us(top.bid_quantity))


def _age_us(stamp: Decimal) -> int:
    return time.monotonic_ns() // 1_000 - int(stamp.scaleb(STAMP_DIGITS))


def main() -> int:
    """Run the load that the arguments describe; return the exit code."""
    asked = argparse.ArgumentParser(prog="scripts/feed-load", description=__doc__)
    asked.add_argument("--seconds", type=float, default=60.0)
    asked.add_argument("--pairs", type=int, default=20, choices=range(2, 21), metavar="2..20")
    asked.add_argument("--rate", type=float, default=RECORDED * TIMES, help="frames a second")
    given = asked.parse_args()
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(1))  # And end what we started.
    names = [f"A{n:02d}TRY" for n in range(given.pairs)]
    with tempfile.TemporaryDirectory(prefix="fl-") as folder:
        heard, sent = _run(Path(folder), names, given.rate, given.seconds)
    found = judged(heard, sent, given.seconds)
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(found)).decode() + "\n")
    return 0 if found["ok"] else PROBLEM


def judged(heard: Heard, sent: Sent, seconds: float) -> dict[str, Any]:
    """Return the figures, and whether each of them is good."""
    in_minutes = Counter[str]()
    for (pair, _), minute in heard.minutes.items():
        in_minutes[pair] += minute.trades or 0
    ages, bare = _spread(heard.ages_us), _spread(heard.bare_us)
    growth = _growth(heard.rss_mb)
    checks = {
        "every trade was said": dict(heard.trades) == sent.trades,
        "the minutes add up": dict(in_minutes) == sent.trades and not heard.gaps,
        "tops are young": ages["p99"] <= AGE_MAX_MS + 2 * bare["p99"],
        "feeds stay LIVE": heard.live == set(sent.trades) and not heard.fell,
        "memory does not grow": growth <= GROWTH_MAX_MB,
    }
    return {
        "ok": all(checks.values()),
        "checks": checks,
        "seconds": seconds,
        "pairs": len(sent.trades),
        "frames": sent.frames,
        "frames_per_second": round(sent.frames / seconds, 1),
        "trades_sent": sum(sent.trades.values()),
        "trades_said": heard.trades.total(),
        "trades_in_minutes": in_minutes.total(),
        "tops": heard.tops,
        "top_age_ms": ages,
        "bare_datagram_ms": bare,
        "cpu_of_market_data": round(heard.cpu_s / seconds, 2),
        "load_of_this_machine": os.getloadavg()[0],
        "rss_mb": {"last": round(heard.rss_mb[-1][1], 1), "growth": round(growth, 2)},
        "slowest_batch_of_the_blaster_s": round(sent.slowest_batch_s, 3),
        "fell": heard.fell[:5],
    }


def _spread(values_us: list[int]) -> dict[str, float]:
    """Return the middle, the hundredth worst and the worst, in ms."""
    values = sorted(value / 1_000 for value in values_us) or [float("inf")]
    places = {"p50": 0.5, "p99": 0.99}
    found = {name: values[int(len(values) * part)] for name, part in places.items()}
    return {name: round(value, 1) for name, value in {**found, "max": values[-1]}.items()}


def _growth(samples: list[tuple[float, float]]) -> float:
    """Return MB between the second quarter and the last, by their medians."""
    part = len(samples) // 4
    if part < 2:
        return 0.0
    sizes = [size for _, size in samples]
    return statistics.median(sizes[-part:]) - statistics.median(sizes[part : 2 * part])


def _run(folder: Path, names: list[str], rate: float, seconds: float) -> tuple[Heard, Sent]:
    bare = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bare.bind(("127.0.0.1", 0))
    bare.settimeout(0)
    figures = (str(rate), str(seconds), str(bare.getsockname()[1]), str(os.getpid()))
    blaster = _start("btcbot.bench.blaster", str(folder), ",".join(names), *figures)
    started = [blaster]
    try:
        sockets, web = msgspec.json.decode(_awaited(folder / "ports.json", blaster))
        (folder / "run").mkdir(mode=0o700)
        config = Config(
            home=folder,
            pairs=tuple(map(Pair, names)),
            exchange=Exchange(
                rest_url=f"http://127.0.0.1:{web}", ws_url=f"ws://127.0.0.1:{sockets}/"
            ),
        )
        (folder / "run" / "config.json").write_bytes(freeze(config))
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        hearing = context.socket(zmq.SUB)
        hearing.setsockopt(zmq.RCVHWM, 0)
        hearing.setsockopt(zmq.RECONNECT_IVL, 10)
        for topic in (b"top.", b"trade.", b"candle.", b"feed."):
            hearing.setsockopt(zmq.SUBSCRIBE, topic)
        hearing.connect(f"ipc://{folder}/run/market_data.pub")
        actor = _start("btcbot.cli.process", "market_data", str(folder / "run" / "config.json"))
        started.append(actor)
        try:
            return _hear((hearing, bare), folder, actor)
        finally:
            bare.close()
            hearing.close(linger=0)
            context.term()
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait(10)


def _hear(
    sockets: "tuple[zmq.Socket[bytes], socket.socket]",
    folder: Path,
    actor: "subprocess.Popen[bytes]",
) -> tuple[Heard, Sent]:
    """Hear until every trade that was sent is in a closed minute, or it is too late for that."""
    heard, seen, look_at = Heard(), psutil.Process(actor.pid), 0.0
    sent: Sent | None = None
    hearing, bare = sockets
    poller = zmq.Poller()
    poller.register(hearing, zmq.POLLIN)
    poller.register(bare, zmq.POLLIN)
    while True:
        ready = dict(poller.poll(200))
        if hearing in ready:
            heard.take(CODEC.decode(published(hearing)).message)
        if bare.fileno() in ready:
            heard.bare_us.append(_age_us(Decimal(bare.recv(64).decode())))
        now = time.monotonic()
        if now < look_at:
            continue
        look_at = now + 0.5
        if actor.poll() is not None:
            raise RuntimeError(f"market_data ended with {actor.returncode}")
        if sent is None:
            heard.cpu_s = sum(seen.cpu_times()[:2])
            heard.rss_mb.append((now, seen.memory_info().rss / (1 << 20)))
            path = folder / "sent.json"
            sent = msgspec.json.decode(path.read_bytes(), type=Sent) if path.exists() else None
            continue
        counted = sum(minute.trades or 0 for minute in heard.minutes.values())
        is_late = now - sent.ended_ns / 1e9 > LATE_S
        if counted >= sum(sent.trades.values()) or is_late:
            return heard, sent


def _start(module: str, *arguments: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-m", module, *arguments], umask=0o077)


def _awaited(path: Path, process: "subprocess.Popen[bytes]") -> bytes:
    give_up = time.monotonic() + 20
    while time.monotonic() < give_up and process.poll() is None:
        if path.exists():
            return path.read_bytes()
        time.sleep(0.05)
    raise TimeoutError(f"{path.name} was not written by process {process.pid}")


if __name__ == "__main__":
    sys.exit(main())
