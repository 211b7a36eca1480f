"""The one POST over real sockets against exchanges that fail in every way we have heard of.

Each test counts what reached the wire: never more than one POST, whatever happens.
"""

import asyncio
import json
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from btcbot.btcturk.pool import CONNECTIONS, SubmitPool
from btcbot.btcturk.submit import Post, Reply, Waits
from tests.btcturk.loops import on_both_loops
from tests.btcturk.servers import RawExchange, Script, Wire, raw_exchange, until

pytestmark = pytest.mark.timeout(30)
GOOD = json.dumps({"data": {"id": 7}, "success": True, "code": 0})
HTML = "<html><title>504 Gateway Time-out</title></html>"
QUICK = Waits(doubt_s=0.15, late_s=1.0)


@dataclass
class Heard:
    """What the submitter is told, in order."""

    idle: list[int] = field(default_factory=list)
    said: list[Any] = field(default_factory=list)

    def post(self, body: bytes = b'{"price":"1"}') -> Post:
        return Post(
            "/api/v1/order",
            {"X-PCK": "key", "Content-Type": "application/json"},
            body,
            self.said.append,
            self.said.append,
        )


@asynccontextmanager
async def pool(
    url: str, waits: Waits = QUICK, idle_s: float = 100.0
) -> AsyncIterator[tuple[SubmitPool, Heard]]:
    heard = Heard()
    made = SubmitPool(url, heard.idle.append, waits=waits, idle_s=idle_s)
    try:
        yield made, heard
    finally:
        await made.close()


@asynccontextmanager
async def ready(
    script: Script, waits: Waits = QUICK
) -> AsyncIterator[tuple[RawExchange, SubmitPool, Heard]]:
    """Run an exchange and four connections to it."""
    async with raw_exchange(script) as exchange, pool(exchange.url, waits) as (made, heard):
        await until(lambda: heard.idle[-1:] == [CONNECTIONS])
        yield exchange, made, heard


async def answering(wire: Wire) -> None:
    while True:
        await wire.request()
        await wire.answer(200, GOOD)


@on_both_loops
async def test_four_connections_stand_ready_and_each_number_is_said_once() -> None:
    async with ready(answering) as (exchange, made, heard):
        assert heard.idle == [1, 2, 3, 4]
        assert exchange.accepted == 4

        assert made.post(heard.post())
        assert heard.idle == [1, 2, 3, 4, 3]
        await until(lambda: bool(heard.said))

        assert heard.said == [Reply(200, GOOD.encode(), "")]
        assert heard.idle == [1, 2, 3, 4, 3, 4]
        assert exchange.accepted == 4  # The answered connection is used again.


@on_both_loops
async def test_the_bytes_leave_before_post_returns() -> None:
    async with ready(answering) as (exchange, made, heard):
        assert made.post(heard.post())

        # No await since: only the kernel can have taken them.
        [busy] = [one for one in made._all if one._post is not None]
        assert busy._unsent == b""
        await until(lambda: len(exchange.posts) == 1)
        head, _, body = exchange.posts[0].partition(b"\r\n\r\n")
        assert head.startswith(b"POST /api/v1/order HTTP/1.1\r\nHost: 127.0.0.1:")
        assert b"Transfer-Encoding" not in head
        assert body == b'{"price":"1"}'


@on_both_loops
async def test_one_connection_carries_many_posts_one_after_the_other() -> None:
    async with ready(answering) as (exchange, made, heard):
        for count in range(1, 9):
            assert made.post(heard.post())
            await until(lambda: len(heard.said) == count)  # noqa: B023 - awaited at once

        assert len(exchange.posts) == 8
        assert exchange.accepted == 4


@on_both_loops
async def test_an_exchange_that_hangs_is_doubted_in_time_and_heard_out() -> None:
    late = asyncio.Event()

    async def hanging(wire: Wire) -> None:
        await wire.request()
        await late.wait()
        await wire.answer(200, GOOD)
        await wire.closed()

    async with ready(hanging, Waits(doubt_s=0.1, late_s=20)) as (exchange, made, heard):
        assert made.post(heard.post())
        await until(lambda: bool(heard.said))
        assert heard.said == ["no answer in 0.1 s"]
        await until(lambda: heard.idle[-1] == 4)  # Another took its place meanwhile.

        late.set()
        await until(lambda: len(heard.said) == 2)

        assert heard.said[1] == Reply(200, GOOD.encode(), "")
        assert len(exchange.posts) == 1


@on_both_loops
async def test_a_post_that_is_never_answered_is_doubted_once_and_its_connection_ends() -> None:
    async def silent(wire: Wire) -> None:
        await wire.request()
        await wire.closed()

    async with ready(silent, Waits(doubt_s=0.05, late_s=0.2)) as (exchange, made, heard):
        assert made.post(heard.post())
        await until(lambda: exchange.accepted == 5)
        await until(lambda: len(made._all) == 4)

        assert heard.said == ["no answer in 0.05 s"]
        assert len(exchange.posts) == 1


@on_both_loops
async def test_a_reset_after_the_request_is_doubted_at_once() -> None:
    async def resetting(wire: Wire) -> None:
        await wire.request()
        wire.reset()

    async with ready(resetting, Waits(doubt_s=9, late_s=10)) as (exchange, made, heard):
        assert made.post(heard.post())
        await until(lambda: bool(heard.said))

        [detail] = heard.said
        assert "connection" in detail
        assert len(exchange.posts) == 1
        await until(lambda: heard.idle[-1] == 4)


@pytest.mark.parametrize(
    "answer",
    ["", "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{", "HTTP/1.1 200", "garbage\r\n\r\n"],
)
@on_both_loops
async def test_an_answer_that_ends_early_is_doubt_not_an_answer(answer: str) -> None:
    async def stopping(wire: Wire) -> None:
        await wire.request()
        await wire.say(answer)

    async with ready(stopping, Waits(doubt_s=9, late_s=10)) as (exchange, made, heard):
        assert made.post(heard.post())
        await until(lambda: bool(heard.said))

        assert [type(one) for one in heard.said] == [str]
        assert len(exchange.posts) == 1


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (200, "", ()),
        (504, HTML, ()),
        (307, "", ("Location: /api/v1/order",)),
        (400, '{"success":false,"message":"BALANCE_NOT_ENOUGH","code":1055}', ()),
        (429, '{"success":false,"message":"TOO_MANY_REQUESTS","code":429}', ("Retry-After: 53",)),
        (503, HTML, ("Connection: close",)),
    ],
)
@on_both_loops
async def test_every_whole_answer_is_handed_on_and_followed_by_nothing(
    status: int, body: str, headers: tuple[str, ...]
) -> None:
    async def once(wire: Wire) -> None:
        await wire.request()
        await wire.answer(status, body, *headers)
        await wire.closed()

    async with ready(once) as (exchange, made, heard):
        assert made.post(heard.post())
        await until(lambda: bool(heard.said))
        await until(lambda: heard.idle[-1] == 4)

        retry = "53" if status == 429 else ""
        assert heard.said == [Reply(status, body.encode(), retry)]
        assert len(exchange.posts) == 1


@on_both_loops
async def test_an_answer_without_a_length_is_whole_when_the_connection_ends() -> None:
    async def old(wire: Wire) -> None:
        await wire.request()
        await wire.say("HTTP/1.0 200 OK\r\n\r\n" + GOOD)

    async with ready(old) as (_, made, heard):
        assert made.post(heard.post())
        await until(lambda: bool(heard.said))

        assert heard.said == [Reply(200, GOOD.encode(), "")]


@on_both_loops
async def test_a_chunked_answer_after_a_100_is_read() -> None:
    async def chunked(wire: Wire) -> None:
        await wire.request()
        await wire.say(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for part in (GOOD[:9], GOOD[9:]):
            await wire.say(f"{len(part):x}\r\n{part}\r\n")
        await wire.say("0\r\n\r\n")
        await wire.closed()

    async with ready(chunked) as (_, made, heard):
        assert made.post(heard.post())
        await until(lambda: bool(heard.said))

        assert heard.said == [Reply(200, GOOD.encode(), "")]


@on_both_loops
async def test_an_endless_answer_is_doubted_when_it_grows_too_long() -> None:
    async def endless(wire: Wire) -> None:
        await wire.request()
        await wire.say("HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await wire.say(b"x" * 65_536)

    async with ready(endless, Waits(doubt_s=9, late_s=10)) as (_, made, heard):
        assert made.post(heard.post())
        await until(lambda: bool(heard.said))

        assert heard.said == ["an answer of over 1048576 bytes"]


@on_both_loops
async def test_idle_connections_that_the_exchange_dropped_are_never_written_to() -> None:
    async def idle(wire: Wire) -> None:
        await wire.closed()

    async with ready(idle) as (exchange, made, heard):
        for one in made._idle:
            one._loop.remove_reader(one._sock)  # So that only post() itself can see the end.
        for wire in exchange.wires:
            wire.writer.close()
            await wire.writer.wait_closed()

        assert not made.post(heard.post())

        assert heard.said == []
        assert exchange.posts == []
        assert made._idle == []


@on_both_loops
async def test_a_dead_connection_is_skipped_for_a_live_one() -> None:
    async with ready(answering) as (exchange, made, heard):
        for one in made._idle[1:]:
            one._sock.shutdown(socket.SHUT_WR)  # A send now fails before it takes a byte.

        assert made.post(heard.post())
        await until(lambda: bool(heard.said))

        assert isinstance(heard.said[0], Reply)
        assert len(exchange.posts) == 1
        await until(lambda: heard.idle[-1] == 4)


@on_both_loops
async def test_a_request_the_kernel_takes_in_parts_arrives_whole_and_in_order() -> None:
    reading = asyncio.Event()
    bodies: list[bytes] = []

    async def slow(wire: Wire) -> None:
        await reading.wait()
        bodies.append((await wire.request()).partition(b"\r\n\r\n")[2])
        await wire.answer(200, GOOD)
        await wire.closed()

    large = b"".join(b"%07d " % number for number in range(3_000_000))
    async with ready(slow, Waits(doubt_s=20, late_s=21)) as (_, made, heard):
        assert made.post(heard.post(large))
        [busy] = [one for one in made._all if one._post is not None]
        assert busy._unsent
        reading.set()
        await until(lambda: bool(heard.said), 20)

        assert bodies == [large]
        assert heard.said == [Reply(200, GOOD.encode(), "")]


@on_both_loops
async def test_an_answer_before_the_whole_request_is_heard_and_ends_the_connection() -> None:
    async def early(wire: Wire) -> None:
        await wire.reader.readexactly(100)
        await wire.answer(413, "", "Connection: keep-alive")
        await wire.closed()

    async with ready(early, Waits(doubt_s=9, late_s=10)) as (exchange, made, heard):
        assert made.post(heard.post(b"x" * 30_000_000))
        await until(lambda: bool(heard.said))

        assert heard.said == [Reply(413, b"", "")]
        await until(lambda: exchange.accepted == 5)


@on_both_loops
async def test_a_request_that_breaks_off_in_the_middle_is_doubt_never_not_sent() -> None:
    async def gone(wire: Wire) -> None:
        await wire.reader.readexactly(100)
        wire.reset()

    async with ready(gone, Waits(doubt_s=9, late_s=10)) as (_, made, heard):
        assert made.post(heard.post(b"x" * 30_000_000))
        await until(lambda: bool(heard.said))

        assert [type(one) for one in heard.said] == [str]


@on_both_loops
async def test_with_no_connection_left_a_post_is_refused_until_one_is_answered() -> None:
    release = asyncio.Event()

    async def held(wire: Wire) -> None:
        await wire.request()
        await release.wait()
        await wire.answer(200, GOOD)
        await wire.closed()

    async with ready(held, Waits(doubt_s=9, late_s=10)) as (exchange, made, heard):
        assert [made.post(heard.post()) for _ in range(5)] == [True] * 4 + [False]
        assert heard.idle[-1] == 0

        release.set()
        await until(lambda: len(heard.said) == 4)

        assert heard.idle[-1] == 4
        assert len(exchange.posts) == 4
        assert exchange.accepted == 4


@on_both_loops
async def test_an_idle_connection_that_speaks_unasked_is_replaced() -> None:
    async def rude(wire: Wire) -> None:
        if wire.exchange.accepted == 2:
            await wire.say("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
        await wire.closed()

    async with raw_exchange(rude) as exchange, pool(exchange.url) as (made, heard):
        await until(lambda: exchange.accepted == 5)
        await until(lambda: heard.idle[-1] == 4)

        assert len(made._all) == 4


@on_both_loops
async def test_an_old_idle_connection_is_replaced_without_a_gap() -> None:
    async with raw_exchange(answering) as exchange, pool(exchange.url, idle_s=0.3) as (made, heard):
        await until(lambda: exchange.accepted >= 8)
        await until(lambda: sum(not wire.reader.at_eof() for wire in exchange.wires) <= 5)

        assert len(made._all) <= 5
        assert heard.idle[:4] == [1, 2, 3, 4]
        assert set(heard.idle[4:]) <= {4}


@on_both_loops
async def test_a_closed_port_is_told_in_words_and_tried_again() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        async with pool(f"http://127.0.0.1:{port}") as (made, heard):
            await until(lambda: "refused" in made.trouble)

            assert f"nothing listens at 127.0.0.1:{port}" in made.trouble
            assert not made.post(heard.post())
            taken.listen(16)
            await until(lambda: heard.idle[-1:] == [4])


# --- TLS --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    paths = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=sandbox", "-addext"]
    command += ["subjectAltName=IP:127.0.0.1", "-out", str(paths[0]), "-keyout", str(paths[1])]
    subprocess.run(command, check=True, capture_output=True)
    return paths


def server_side(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    return context


@on_both_loops
async def test_over_tls_one_post_leaves_in_one_go_and_is_answered(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    tls = server_side(certificate)
    async with (
        raw_exchange(answering, ssl=tls) as exchange,
        pool(exchange.url, Waits()) as (made, heard),
    ):
        await until(lambda: heard.idle[-1:] == [4])
        for count in range(1, 4):
            assert made.post(heard.post())
            await until(lambda: len(heard.said) == count)  # noqa: B023 - awaited at once

        assert heard.said == [Reply(200, GOOD.encode(), "")] * 3
        assert len(exchange.posts) == 3
        assert exchange.accepted == 4


@on_both_loops
async def test_over_tls_an_end_amid_the_answer_is_doubt(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stopping(wire: Wire) -> None:
        await wire.request()
        await wire.say("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{")

    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    async with (
        raw_exchange(stopping, ssl=server_side(certificate)) as exchange,
        pool(exchange.url, Waits()) as (made, heard),
    ):
        await until(lambda: heard.idle[-1:] == [4])
        assert made.post(heard.post())
        await until(lambda: bool(heard.said))

        assert [type(one) for one in heard.said] == [str]
        assert len(exchange.posts) == 1


@on_both_loops
async def test_a_certificate_nobody_vouches_for_never_sees_a_post(
    certificate: tuple[Path, Path],
) -> None:
    async with (
        raw_exchange(answering, ssl=server_side(certificate)) as exchange,
        pool(exchange.url) as (made, heard),
    ):
        await until(lambda: "certificate" in made.trouble.lower())

        assert not made.post(heard.post())
        assert heard.idle == []
        assert exchange.requests == []
