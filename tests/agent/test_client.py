"""The model's client against a real server on loopback: every end of a question is an outcome."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import pytest

from btcbot.agent.client import ModelClient
from btcbot.agent.contracts import AskModel
from btcbot.domain.agent import RAW_MAX, AgentOutcome, ModelAnswered
from btcbot.domain.ids import CommandId
from tests.agent.asking import reply, said
from tests.agent.model_server import ModelServer, Script, model_server

KEY: Final = "sk-0123456789abcdef"
MS: Final = 1_000_000
GOOD: Final = reply(said()).encode()


pytestmark = pytest.mark.asyncio


class Asking:
    """A client, its server, and what was delivered."""

    def __init__(self, server: ModelServer) -> None:
        self.server = server
        self.heard: list[ModelAnswered] = []
        self.came = asyncio.Event()
        self.client = ModelClient(server.url, KEY, self._take, lambda text: KEY in text)

    def _take(self, answer: ModelAnswered) -> None:
        self.heard.append(answer)
        self.came.set()

    async def ask(self, timeout_ms: int = 5_000) -> ModelAnswered:
        """Return how one question ends."""
        self.came.clear()
        self.client.start(AskModel(CommandId(f"q{len(self.heard)}"), b"{}", timeout_ms * MS))
        await asyncio.wait_for(self.came.wait(), 20)
        return self.heard[-1]


@asynccontextmanager
async def asking() -> AsyncIterator[Asking]:
    async with model_server() as server:
        room = Asking(server)
        try:
            yield room
        finally:
            await room.client.close()


async def test_a_reply_is_delivered_whole_and_the_key_is_sent_and_not_kept() -> None:
    async with asking() as room:
        room.server.script = Script(body=GOOD)

        answer = await room.ask()

    assert (answer.outcome, answer.status) == (AgentOutcome.ADVISED, 200)
    assert answer.raw.encode() == GOOD
    assert answer.raw_bytes == len(GOOD)
    assert b"POST /v1/chat/completions " in room.server.heads[0]
    assert f"authorization: bearer {KEY}".encode() in room.server.heads[0].lower()
    assert KEY not in repr(answer)


ENDS: Final = {
    "a redirect": (Script(status=302, headers=("Location: http://127.0.0.1:1/",)), "http_status"),
    "an error": (Script(status=500, body=b"oops"), "http_status"),
    "too many": (Script(status=429, body=b"{}"), "http_status"),
    "a huge reply": (Script(body=b"x" * 5_000_000), "too_large"),
    "one byte too many": (Script(body=b"x" * (RAW_MAX + 1)), "too_large"),
    "our key echoed": (Script(body=f"<{KEY}>".encode()), "secret"),
    "our key in an error": (Script(status=401, body=f"bad key {KEY}".encode()), "secret"),
    "half a reply": (Script(body=GOOD, cuts=10), "broken"),
    "no reply": (Script(raw=b""), "broken"),
    "no HTTP": (Script(raw=b"\x00\xff hello\r\n\r\n"), "broken"),
    "a bad length": (Script(raw=b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}"), "broken"),
    "no text": (Script(body=b"\xff\xfe\x00"), "advised"),  # Parsed, and refused, by others.
}


@pytest.mark.parametrize("end", ENDS)
async def test_whatever_goes_wrong_is_an_outcome_and_no_secret_is_kept(end: str) -> None:
    script, outcome = ENDS[end]
    async with asking() as room:
        room.server.script = script

        answer = await room.ask()

    assert answer.outcome == outcome
    assert len(answer.raw) <= RAW_MAX
    assert KEY not in answer.raw


async def test_a_server_that_never_answers_ends_in_a_timeout_and_is_asked_once() -> None:
    async with asking() as room:
        room.server.script = Script(wait=asyncio.Event())

        began = time.monotonic()
        answer = await room.ask(timeout_ms=100)

        assert answer.outcome is AgentOutcome.TIMEOUT
        assert time.monotonic() - began < 5
        assert len(room.server.asked) == 1


async def test_a_dead_address_costs_nothing() -> None:
    async with asking() as room:
        room.client._url = "http://127.0.0.1:9/v1/chat/completions"

        answer = await room.ask()

    assert answer.outcome is AgentOutcome.NOT_SENT


async def test_a_new_question_ends_one_that_is_still_open() -> None:
    async with asking() as room:
        room.server.script = Script(wait=asyncio.Event())
        room.client.start(AskModel(CommandId("old"), b"{}", 60_000 * MS))
        await room.server.was_asked.wait()
        room.server.script = Script(body=GOOD)

        answer = await room.ask()

    assert answer.ask_id == "q0"
    assert [heard.ask_id for heard in room.heard] == ["q0"]
