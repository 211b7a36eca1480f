"""Kill the recorder at random moments; compare what it kept with what it was sent, byte for byte.

A sandbox makes the market. Between it and the recorder stands a relay, which notes every frame
before it passes it on. In half of the lives it also sends long frames of noise as fast as they are
taken: the recorder then writes nearly all of the time, and is killed amid writes. It runs with
--json: a line for each flush, written when the kernel has the block. After each kill -9, for the
segments of that life:

- every acknowledged (segment, size, records) is there: the first `size` bytes are whole blocks with
  exactly `records` records;
- the frames of each connection are the first ones that the relay sent on it, unchanged, in order;
- nothing is damaged, all segments but the newest are sealed, and no earlier life's is touched.
"""

import asyncio
import base64
import json
import os
import random
import sys
import tempfile
import time
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from btcbot.catalog.segments import read, segments, verify

BTCBOT = (sys.executable, "-m", "btcbot.cli.main")
PAIRS = "BTCTRY,ETHTRY,USDTTRY,BTCUSDT"
SPEED = "60"  # Market seconds a second.
LIVES_PER_SANDBOX = 10  # It takes 15 connections a minute, as the exchange does.
EARLY = 0.2  # This part is killed while it starts, before or after its first flush.
EARLY_S, LATER_S = 1.5, 2.5
START_S = 60.0
NOISE = base64.b64encode(random.Random(0).randbytes(150_000))
NOISE_MAX = 1_000
KEPT_LIVES = 20  # Segments of lives before these are deleted: they take up to 100 MB each.


class Lost(Exception):
    """Something that was acknowledged, or that has to be so, is not."""


@dataclass
class Relay:
    """Stands between the recorder and the exchange; `sent` has what it passed on."""

    upstream: str
    is_noisy: bool = False
    sent: list[list[tuple[float, bytes]]] = field(default_factory=list)  # One list a connection.

    def __post_init__(self) -> None:
        self._turn = asyncio.Lock()

    async def session(self, recorder: ServerConnection) -> None:
        sent: list[tuple[float, bytes]] = []
        self.sent.append(sent)
        with suppress(ConnectionClosed, OSError):
            async with connect(self.upstream, compression=None, proxy=None) as exchange:
                tasks = [asyncio.create_task(self._up(recorder, exchange))]
                if self.is_noisy:
                    tasks.append(asyncio.create_task(self._make_noise(recorder, sent)))
                try:
                    while True:
                        frame = await exchange.recv(decode=False)
                        await self._pass_on(recorder, sent, frame)
                finally:
                    for task in tasks:
                        task.cancel()
                    await asyncio.gather(*tasks, return_exceptions=True)

    async def _pass_on(
        self, recorder: ServerConnection, sent: list[tuple[float, bytes]], frame: bytes
    ) -> None:
        async with self._turn:  # What is noted first is sent first.
            sent.append((time.monotonic(), frame))
            await recorder.send(frame, text=True)

    async def _make_noise(
        self, recorder: ServerConnection, sent: list[tuple[float, bytes]]
    ) -> None:
        for number in range(NOISE_MAX):
            frame = b'[9999,{"number":%d,"noise":"%s"}]' % (number, NOISE)
            await self._pass_on(recorder, sent, frame)

    async def _up(self, recorder: ServerConnection, exchange: object) -> None:
        with suppress(ConnectionClosed):
            async for frame in recorder:
                await exchange.send(frame)  # type: ignore[attr-defined]


@dataclass
class Totals:
    """What all lives together show."""

    kills: int = 0
    before_first: int = 0
    acknowledged: int = 0
    kept: int = 0
    torn: int = 0
    segments: int = 0
    oldest_lost_s: float = 0.0


@asynccontextmanager
async def program(*arguments: str, **settings: str):  # noqa: ANN201 - a script
    clean = {name: text for name, text in os.environ.items() if not name.startswith("BTCBOT__")}
    process = await asyncio.create_subprocess_exec(
        *BTCBOT,
        *arguments,
        env={**clean, **settings},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=1 << 24,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def life(home: Path, rest: str, ws: str, chance: random.Random) -> tuple[list[dict], float]:
    """Let a recorder live for a while; return what it acknowledged and when it was killed."""
    settings = {
        "BTCBOT__HOME": str(home),
        "BTCBOT__EXCHANGE__REST_URL": rest,
        "BTCBOT__EXCHANGE__WS_URL": ws,
        "BTCBOT__PAIRS": json.dumps(PAIRS.split(",")),
        "BTCBOT__CAPTURE__ROTATE_S": "1",
        "BTCBOT__CAPTURE__DISK_FREE_MIN_MB": "0",
    }
    is_early = chance.random() < EARLY
    async with program("record", "--json", **settings) as process:
        lines = []
        if not is_early:
            async with asyncio.timeout(START_S):
                lines.append(await process.stdout.readline())
        await asyncio.sleep(chance.uniform(0, EARLY_S if is_early else LATER_S))
        process.kill()
        killed_s = time.monotonic()
        lines += (await process.stdout.read()).splitlines(keepends=True)
        await process.wait()
    # A line is written whole or not at all: one that is not would be no acknowledgement.
    return [json.loads(line) for line in lines if line.endswith(b"\n")], killed_s


def check(
    fresh: list[Path], told: list[dict], sent: list[list[tuple[float, bytes]]], totals: Totals
) -> int:
    """Hold the segments of one life to its word; return how many frames they have."""
    reports = {path: verify(path) for path in fresh}
    for path, report in reports.items():
        if report.damaged or report.missing:
            raise Lost(f"{path}: damaged {report.damaged}, missing {report.missing}")
        if not report.is_sealed and path != fresh[-1]:
            raise Lost(f"{path}: not sealed, and not the newest")
    for line in told:
        acknowledged(Path(line["segment"]), line["size"], line["records"])
    heard = [record for path in fresh for record in read(path)]
    most = {line["segment"]: line["records"] for line in told}
    if len(heard) < sum(most.values()):
        raise Lost(f"{sum(most.values())} acknowledged, {len(heard)} kept")
    frames = 0
    for session in sorted({record.session for record in heard} - {0}):
        kept = [record.payload for record in heard if record.session == session]
        passed = [frame for _, frame in sent[session - 1]]
        if kept != passed[: len(kept)]:
            at = next(n for n, frame in enumerate(kept) if frame != passed[n])
            raise Lost(f"session {session}: frame {at} is not the one that was sent")
        frames += len(kept)
    totals.acknowledged += sum(most.values())
    totals.kept += len(heard)
    totals.torn += sum(report.torn_at is not None for report in reports.values())
    totals.segments += len(fresh)
    totals.before_first += not told
    return frames


def acknowledged(path: Path, size: int, records: int) -> None:
    """Raise Lost unless the first `size` bytes of a segment hold `records` records and no more."""
    raw = path.read_bytes()[:size]
    if len(raw) < size:
        raise Lost(f"{path}: {len(raw)} bytes; acknowledged were {size}")
    with tempfile.NamedTemporaryFile(suffix=".seg") as part:
        part.write(raw)
        part.flush()
        report = verify(Path(part.name))
    if report.records != records or report.torn_at is not None:
        raise Lost(f"{path}: {report.records} records in {size} bytes; acknowledged were {records}")


async def main(kills: int, seed: int) -> Totals:
    chance, totals = random.Random(seed), Totals()
    lives: list[dict[Path, tuple[int, int]]] = []
    async with AsyncExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="b")))
        relay, rest = Relay(""), ""
        market = await stack.enter_async_context(AsyncExitStack())
        server = await stack.enter_async_context(
            serve(relay.session, "127.0.0.1", 0, compression=None)
        )
        port = next(iter(server.sockets)).getsockname()[1]
        folder = home / "data" / "raw" / "record"
        for number in range(1, kills + 1):
            if number % LIVES_PER_SANDBOX == 1:
                await market.aclose()
                rest = await sandbox(market)
                relay.upstream = rest.replace("http", "ws", 1) + "/ws"
            relay.sent.clear()
            relay.is_noisy = number % 2 == 0
            told, killed_s = await life(home, rest, f"ws://127.0.0.1:{port}/", chance)
            seen = {path for before in lives for path in before}
            fresh = [path for path in segments(folder) if path not in seen]
            frames = check(fresh, told, relay.sent, totals)
            # Noise may wait in the sockets between us for long; what the market said does not.
            if not relay.is_noisy and relay.sent and len(relay.sent[-1]) > frames:
                totals.oldest_lost_s = max(
                    totals.oldest_lost_s, killed_s - relay.sent[-1][frames][0]
                )
            lives.append({path: fingerprint(path) for path in fresh})
            forget(lives, KEPT_LIVES)
            totals.kills += 1
            if number % 10 == 0:
                print(f"recorder-kills: {number} of {kills}: {totals}", file=sys.stderr)
        forget(lives, 0)
    return totals


async def sandbox(stack: AsyncExitStack) -> str:
    """Start a sandbox; return its address."""
    arguments = ("sandbox", "--port=0", "--speed", SPEED, "--pairs", PAIRS)
    process = await stack.enter_async_context(program(*arguments))
    first: bytes = await process.stdout.readline()
    return first.decode().removeprefix("sandbox: ").strip()


def forget(lives: list[dict[Path, tuple[int, int]]], keep: int) -> None:
    """Delete the segments of all lives but the last; raise Lost if one of them was changed."""
    while len(lives) > keep:
        for path, before in lives.pop(0).items():
            if fingerprint(path) != before:
                raise Lost(f"{path} was changed by a later life")
            path.unlink()


def fingerprint(path: Path) -> tuple[int, int]:
    about = path.stat()
    return about.st_size, about.st_mtime_ns


if __name__ == "__main__":
    many = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    chosen = int(sys.argv[2]) if len(sys.argv) > 2 else time.time_ns() % 1_000_000
    print(f"recorder-kills: {many} kills, seed {chosen}", file=sys.stderr)
    try:
        found = asyncio.run(main(many, chosen))
    except Lost as lost:
        sys.exit(f"recorder-kills: LOST: {lost}")
    if not found.acknowledged:
        sys.exit("recorder-kills: nothing was ever acknowledged: this shows nothing")
    print(
        f"recorder-kills: {found.kills} kills (seed {chosen}), {found.before_first} before the "
        f"first flush; {found.acknowledged} records acknowledged, 0 lost; {found.kept} read "
        f"back from {found.segments} segments, {found.torn} of them torn; the oldest frame that "
        f"was sent and not kept was {found.oldest_lost_s * 1e3:.0f} ms old"
    )
