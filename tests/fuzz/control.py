"""Fuzz what people's commands come through: the frames, and the socket that carries them.

A frame becomes one command or one answer that says why not; nothing of it ends a line, steers a
terminal, or reaches an actor unparsed. After any stream of bytes the door still opens.
"""

import asyncio
import copy
import random
import re
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from actors import CODEC, control
from btcbot.config import Config
from btcbot.domain import control as ctl
from bus.doorway import FRAME_MAX, Doorway
from bus.envelope import Envelope
from tests.fuzz.spoil import Broken, spoil

NOW_NS = 1_795_000_000_000_000_000
STREAM_S = 4.0  # A frame has a second; the rest is a loaded machine's.
COMMANDS: tuple[dict[str, Any], ...] = (
    {"command": "status"},
    {"command": "pause", "pair": "BTCTRY", "strategy": "demo", "side": "buy", "until_ns": NOW_NS},
    {"command": "pause", "reason": "lunch"},
    {"command": "resume", "reason": "back", "acknowledge": "e-1"},
    {"command": "kill", "reason": "fire"},
    {"command": "cancel", "client_order_id": "b1-abcde-" + 26 * "a", "reason": "old"},
    {"command": "restart", "actor": "strategy"},
)
VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 2**62, 2**63, 2**64 - 1, 1.5, float("nan"), "", " ", "a\nb", "\x1b[2J",
    "\u2028", "\x00", "x" * 500, "x" * 501, "x" * 4_000, "BTCTRY", "btctry", "../../etc", "a b",
    "kill", "status", "buy", b"\xff\xfe", b"kill", [], {}, [1], {"command": "kill"}, "٣",
)  # fmt: skip
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def frames(count: int, seed: int) -> Counter[tuple[str, str]]:
    """Give control `count` frames; return what became of them. Raises Broken."""
    draw, counts = random.Random(seed), Counter[tuple[str, str]]()
    delivered: list[Any] = []
    answers: list[bytes] = []
    take = control.receiver(delivered.append, lambda _connection, frame: answers.append(frame))
    actor = control.actor(Config(), lambda _effect: None, 1)
    for number in range(count):
        raw = frame(draw)
        which = f"control frame {number} of seed {seed}: {raw!r}"
        delivered.clear()
        answers.clear()
        try:
            take(1, 1_000, raw)
            for message in delivered:
                control.handle(actor.state, message, NOW_NS + number)
        except Exception as error:
            raise Broken(f"{which}: {type(error).__name__}: {error}") from error
        if wrong := _wrong(delivered, answers):
            raise Broken(f"{which}: {wrong}")
        counts["control", "taken" if delivered else "refused"] += 1
    return counts


def frame(draw: random.Random) -> bytes:
    """Return a command, spoilt in its structure, in its bytes, in both or not at all."""
    tree = copy.deepcopy(draw.choice(COMMANDS))
    if draw.random() < 0.6:
        for _ in range(draw.choice((1, 1, 2))):
            key = draw.choice((*tree, "reason", "uid", "pair", "until_ns", "command"))
            if draw.random() < 0.2:
                tree.pop(key, None)
            else:
                tree[key] = draw.choice(VALUES)
    raw = msgspec.msgpack.encode(tree)
    if draw.random() < 0.4:
        raw = spoil(raw, msgspec.msgpack.encode(draw.choice(COMMANDS)), draw)
    if draw.random() < 0.02:
        raw = draw.choice((b"\x91", b"\x81\xa1a", b"\xdc\xff\xff")) * draw.randint(1, 1_300) + raw
    return raw[:FRAME_MAX]


def _wrong(delivered: Sequence[Any], answers: Sequence[bytes]) -> str:
    if len(delivered) + len(answers) != 1:
        return f"{len(delivered)} messages and {len(answers)} answers"
    for message in delivered:
        if not isinstance(message, ctl.Asked) or message.uid != 1_000:
            return f"{message} is not what the kernel's caller asked"
        fields = [getattr(message.command, name) for name in message.command.__struct_fields__]
        if any(isinstance(value, str) and _UNSAFE.search(value) for value in fields):
            return f"{message.command!r} steers a terminal"
        envelope = Envelope(1, "self", 1, "", 0, "", 0, 0, message)
        if CODEC.decode(CODEC.encode(envelope)) != envelope:
            return f"{message} is not itself after a journal"
    for answer in answers:
        told = msgspec.msgpack.decode(answer)
        if told["ok"] is not False or not told["refused"] or len(answer) > 2_000:
            return f"the refusal {told}"
    return ""


def streams(count: int, seed: int) -> Counter[tuple[str, str]]:
    """Write `count` streams of bytes to the socket, eight at a time. Raises Broken."""
    return asyncio.run(_streams(count, seed))


async def _streams(count: int, seed: int) -> Counter[tuple[str, str]]:
    draw, counts = random.Random(seed), Counter[tuple[str, str]]()
    with tempfile.TemporaryDirectory(prefix="b") as name:
        path = Path(name) / "ctl.sock"
        seen: list[int] = []

        def take(connection: int, _uid: int, raw: bytes) -> None:
            seen.append(len(raw))
            door.answer(connection, raw)

        door = Doorway(path, take, lambda why: why.encode())
        await door.open()
        try:
            for number in range(count):
                raw = stream(draw)
                which = f"control stream {number} of seed {seed}: {raw[:200]!r}"
                before = len(seen)
                outcome = await _one(path, raw, draw.randint(1, 9_000), which)
                if len(seen) - before != whole_frames(raw):
                    told = f"{len(seen) - before} frames taken, {whole_frames(raw)} sent"
                    raise Broken(f"{which}: {told}")
                if any(not 0 < size <= FRAME_MAX for size in seen):
                    raise Broken(f"{which}: a frame of {max(seen)} bytes was taken")
                counts["control stream", outcome] += 1
            await _one(path, b"\0\0\0\4good", 99, "a good frame after all of them")
        finally:
            await door.close()
    return counts


def stream(draw: random.Random) -> bytes:
    """Return some frames, the last of them perhaps of a wrong length, cut off, or of no frame."""
    parts = []
    for _ in range(draw.randint(0, 3)):
        body = draw.randbytes(draw.choice((1, 5, 100, FRAME_MAX)))
        parts.append(len(body).to_bytes(4) + body)
    kind = draw.randrange(4)
    if kind == 0:
        parts.append(draw.choice((0, FRAME_MAX + 1, 2**32 - 1)).to_bytes(4) + b"x" * 50)
    elif kind == 1:
        parts.append((100).to_bytes(4) + b"x" * draw.randint(0, 99))
    elif kind == 2:
        parts.append(draw.randbytes(draw.randint(1, 3)))
    return b"".join(parts)


def whole_frames(raw: bytes) -> int:
    """Return how many frames of an allowed length a stream begins with."""
    at = found = 0
    while at + 4 <= len(raw):
        size = int.from_bytes(raw[at : at + 4])
        if not 0 < size <= FRAME_MAX or at + 4 + size > len(raw):
            break
        at, found = at + 4 + size, found + 1
    return found


async def _one(path: Path, raw: bytes, split: int, which: str) -> str:
    """Write one stream in two parts and close our side; the door answers, and hangs up."""
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        async with asyncio.timeout(STREAM_S):
            writer.write(raw[:split])
            await asyncio.sleep(0)
            writer.write(raw[split:])
            writer.write_eof()
            answers = await reader.read()
    except TimeoutError:
        raise Broken(f"{which}: the door did not hang up") from None
    except ConnectionError:
        return "hung up on"
    finally:
        writer.close()
    return "answered" if answers else "silent"
