"""G16: what one whole book costs market_data, against the bare decoding of its frame."""

import gc
import random
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from actors import CODEC, market_data
from btcbot.bench.pairs import Figure, in_pairs
from btcbot.btcturk import public_frames
from btcbot.domain.feed import FeedUp, RulesRead, TradesSeen
from btcbot.domain.ids import Pair
from btcbot.domain.instruments import DOCUMENTED, Instrument
from bus.clock import ManualClock
from bus.journal import Journal
from bus.quarantine import Quarantine
from bus.shell import Shell

PAIRS: Final = tuple(Pair(f"A{n}TRY") for n in range(8))
FRAMES: Final = 2_000
LEVELS: Final = 100  # A side, as on the busy pairs.
# The exchange sends the books of all pairs together. Batches come far enough apart for every top
# to be said: nothing is saved by conflation.
APART_S: Final = 0.06


class _Level(Struct):
    P: str
    A: str


class _Book(Struct):
    CS: int
    PS: str
    channel: str
    AO: list[_Level]
    BO: list[_Level]


class _Nobody:
    """A port that nobody listens to: what a hearer costs is not market_data's."""

    def publish(self, topic: str, frame: bytes) -> None: ...

    def ask(self, _to: str, _frame: bytes) -> bool:
        return False

    def answer(self, _address: bytes, _frame: bytes) -> bool:
        return False


def book_frame(pairs: int) -> Figure:
    """G16: CPU of a 431 of 200 levels, from its bytes to the top that is said of it.

    Ours reads it, journals it, takes it as the book, and says the new top: the real actor in the
    real runtime, its timers and heartbeats included, on virtual time, in batches of eight pairs.
    Not in it: the socket and the look for unknown fields, which is rare in large frames. The
    yardstick is msgspec's typed decoding of the same frames, levels as text, and nothing else.
    """
    frames = made_frames(FRAMES)
    ratios, ours, yardstick = in_pairs(pairs, lambda: _ours(frames), lambda: _bare(frames))
    return Figure(
        name="G16", what="CPU of a whole book in market_data", ratios=ratios, ours=ours,
        yardstick=yardstick, unit="us", limit=2.5,
    )  # fmt: skip


def made_frames(count: int, seed: int = 7) -> list[bytes]:
    """Return `count` snapshots that follow a random walk; the same for the same seed."""
    draw, middle = random.Random(seed), 3_714_000
    frames = []
    for n in range(count):
        middle += draw.randint(-30, 30)
        sides = {
            name: [
                {"A": f"{draw.randint(1, 10**8) / 10**8:.8f}", "P": str(middle + sign * 7 * k)}
                for k in range(1, LEVELS + 1)
            ]
            for name, sign in (("AO", 1), ("BO", -1))
        }
        pair = PAIRS[n % len(PAIRS)]
        body = {"CS": 4_000_000 + n, "PS": pair, **sides, "channel": "obdiff", "event": pair}
        frames.append(msgspec.json.encode([431, {**body, "type": 431}]))
    return frames


def _bare(frames: list[bytes]) -> float:
    decode = msgspec.json.Decoder(tuple[int, _Book]).decode

    def run() -> None:
        for frame in frames:
            decode(frame)

    return _cpu_us(run) / len(frames)


def _ours(frames: list[bytes]) -> float:
    with TemporaryDirectory(prefix="btcbot-bench-", dir=Path.cwd()) as name:
        clock = ManualClock(1_790_000_000_000_000_000)
        shell = Shell(
            market_data.actor(PAIRS, lambda _effect: None),
            clock=clock,
            codec=CODEC,
            port=_Nobody(),
            journal=Journal(Path(name) / "journal", "market_data", clock.now_ns()),
            quarantine=Quarantine(Path(name) / "quarantine", "market_data"),
            pid=1,
            code="",
            on_ready=lambda: None,
        )
        shell.start()
        shell.deliver(FeedUp(session=1))
        for pair in PAIRS:
            shell.deliver(TradesSeen(pair=pair, trades=(), is_backlog=True))
        shell.deliver(RulesRead(instruments=tuple(map(_rules, PAIRS))))
        shell.work()
        gc.collect()
        gc.freeze()  # As every actor does when it starts.

        def run() -> None:
            for n, frame in enumerate(frames, 1):
                _, message = public_frames.read(frame, PAIRS)
                assert message is not None, "a frame that says nothing"
                shell.deliver(message)
                if n % len(PAIRS) == 0:
                    clock.advance(seconds=APART_S)
                    shell.work()

        took = _cpu_us(run)
        shell.stop()
    return took / len(frames)


def _rules(pair: Pair) -> Instrument:
    return replace(DOCUMENTED[Pair("BTCTRY")], pair=pair)


def _cpu_us(run: Callable[[], None]) -> float:
    began = time.process_time()
    run()
    return (time.process_time() - began) * 1e6
