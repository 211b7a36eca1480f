"""The doorway: a real socket, against callers that are slow, many, large or wrong."""

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from bus import doorway
from bus.doorway import CONNECTIONS_MAX, FRAME_MAX, Doorway

pytestmark = pytest.mark.asyncio

LENGTH = struct.Struct(">I")
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Hall:
    """A doorway whose frames are echoed, and what came through it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.heard: list[tuple[int, bytes]] = []
        self.doorway = Doorway(path, self.on_frame, str.encode)

    def on_frame(self, connection: int, uid: int, frame: bytes) -> None:
        self.heard.append((uid, frame))
        self.doorway.answer(connection, frame)

    async def call(self) -> Streams:
        return await asyncio.open_unix_connection(self.path)


@asynccontextmanager
async def hall(tmp_path: Path) -> AsyncIterator[Hall]:
    made = Hall(tmp_path / "ctl.sock")
    await made.doorway.open()
    try:
        yield made
    finally:
        await made.doorway.close()


async def answer(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(5):
        (size,) = LENGTH.unpack(await reader.readexactly(4))
        return await reader.readexactly(size)


async def refusal(reader: asyncio.StreamReader) -> str:
    """Return why we are hung up on; nothing follows it."""
    found = await answer(reader)
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    return found.decode()


def framed(frame: bytes) -> bytes:
    return LENGTH.pack(len(frame)) + frame


async def test_frames_are_heard_in_order_with_the_callers_uid(tmp_path: Path) -> None:
    async with hall(tmp_path) as door:
        reader, writer = await door.call()
        writer.write(framed(b"one") + framed(b"two")[:5])
        assert await answer(reader) == b"one"
        writer.write(framed(b"two")[5:])
        assert await answer(reader) == b"two"
        writer.close()

        assert door.heard == [(os.geteuid(), b"one"), (os.geteuid(), b"two")]


async def test_only_this_user_may_open_the_socket(tmp_path: Path) -> None:
    async with hall(tmp_path) as door:
        assert door.path.stat().st_mode & 0o777 == 0o600


async def test_another_user_is_turned_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with hall(tmp_path) as door:
        monkeypatch.setattr(os, "geteuid", lambda: 12_345)
        reader, writer = await door.call()
        assert "may not command uid 12345" in await refusal(reader)
        writer.close()

        assert door.heard == []


@pytest.mark.parametrize("size", [0, FRAME_MAX + 1, 2**32 - 1])
async def test_a_frame_of_a_wrong_size_is_refused_before_it_is_read(
    tmp_path: Path, size: int
) -> None:
    async with hall(tmp_path) as door:
        reader, writer = await door.call()
        writer.write(LENGTH.pack(size) + b"x")
        assert f"{size} bytes" in await refusal(reader)
        writer.close()

        assert door.heard == []


@pytest.mark.parametrize("begun", [b"\0", b"\0\0\0\x05", b"\0\0\0\x05hel"])
async def test_a_frame_that_stops_arriving_is_given_up_after_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    monkeypatch.setattr(doorway, "FRAME_WAIT_S", 0.1)
    async with hall(tmp_path) as door:
        reader, writer = await door.call()
        writer.write(begun)
        assert "to arrive" in await refusal(reader)
        writer.close()

        assert door.heard == []


async def test_a_caller_that_says_nothing_is_hung_up_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doorway, "IDLE_WAIT_S", 0.1)
    async with hall(tmp_path) as door:
        reader, writer = await door.call()
        assert "no command" in await refusal(reader)
        writer.close()


async def test_the_ninth_caller_is_told_that_it_is_busy_and_the_others_go_on(
    tmp_path: Path,
) -> None:
    async with hall(tmp_path) as door:
        calls = [await door.call() for _ in range(CONNECTIONS_MAX)]
        for reader, writer in calls:
            writer.write(framed(b"hello"))
            assert await answer(reader) == b"hello"

        reader, ninth = await door.call()
        assert "busy" in await refusal(reader)
        ninth.close()
        calls[0][1].write(framed(b"again"))
        assert await answer(calls[0][0]) == b"again"

        calls[0][1].close()
        await calls[0][1].wait_closed()
        reader, writer = await door.call()
        writer.write(framed(b"now"))
        assert await answer(reader) == b"now"
        for _, each in (*calls, (reader, writer)):
            each.close()


async def test_a_caller_that_never_reads_is_hung_up_on_and_holds_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doorway, "UNREAD_MAX", 10_000)
    async with hall(tmp_path) as door:
        deaf = socket.socket(socket.AF_UNIX)
        deaf.setblocking(False)
        deaf.connect(str(door.path))
        sent = framed(b"x" * FRAME_MAX)
        sendings = 0
        with suppress(ConnectionError, BlockingIOError):
            while (sendings := sendings + 1) < 10_000:
                await asyncio.sleep(0)
                deaf.send(sent)
        assert sendings < 10_000
        reader, writer = await door.call()
        writer.write(framed(b"hello"))
        assert await answer(reader) == b"hello"
        writer.close()
        deaf.close()


async def test_whoever_hangs_up_in_the_middle_leaves_nothing_behind(tmp_path: Path) -> None:
    async with hall(tmp_path) as door:
        for begun in (b"", b"\0", b"\0\0\0\x09abc"):
            _, writer = await door.call()
            writer.write(begun)
            await writer.drain()
            writer.close()
        for _ in range(3 * CONNECTIONS_MAX):
            reader, writer = await door.call()
            writer.write(framed(b"hello"))
            assert await answer(reader) == b"hello"
            writer.close()
            await writer.wait_closed()
