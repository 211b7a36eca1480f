"""Asks an OpenAI-compatible server, beside the actor's loop: one question at a time, no retries.

Whatever goes wrong is an outcome; nothing of it reaches the actor as an exception. A reply is read
up to `RAW_MAX` bytes, and kept only if it holds no secret of ours.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import httpx

from btcbot.agent.contracts import SECOND_NS, AskModel
from btcbot.domain.agent import RAW_MAX, AgentOutcome, ModelAnswered

PATH: Final = "/chat/completions"
_UNSENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol)


class ModelClient:
    """One connection to one server. Needs a running event loop."""

    def __init__(
        self,
        url: str,
        key: str | None,
        deliver: Callable[[ModelAnswered], None],
        leaks: Callable[[str], bool],
    ) -> None:
        """`url` is the base, such as http://127.0.0.1:8080/v1; `leaks` knows our secrets."""
        self._url, self._deliver, self._leaks = url.rstrip("/") + PATH, deliver, leaks
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        # No proxy of the environment, no redirect: the key goes where a person said, or nowhere.
        # A whole question has one deadline, in `ask`.
        self._http = httpx.AsyncClient(
            headers=headers,
            timeout=httpx.Timeout(None),
            trust_env=False,
            follow_redirects=False,
        )
        self._task: asyncio.Task[None] | None = None

    def start(self, ask: AskModel) -> None:
        """Begin a question; its end is delivered once, `ask.timeout_ns` from now at most.

        One that is still open by then is given up by the actor, and ended here.
        """
        if self._task is not None:
            self._task.cancel()
        self._task = asyncio.get_running_loop().create_task(self._run(ask))

    async def close(self) -> None:
        """End what is open, without an outcome."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self._http.aclose()

    async def _run(self, ask: AskModel) -> None:
        self._deliver(await self.ask(ask))

    async def ask(self, ask: AskModel) -> ModelAnswered:
        """Return how asking ended."""
        try:
            async with asyncio.timeout(ask.timeout_ns / SECOND_NS):
                status, raw, size = await self._post(ask.body)
        except TimeoutError:
            return _ended(ask, AgentOutcome.TIMEOUT)
        except _UNSENT:
            return _ended(ask, AgentOutcome.NOT_SENT)
        except (httpx.HTTPError, httpx.InvalidURL):
            return _ended(ask, AgentOutcome.BROKEN)
        if self._leaks(raw):
            return _ended(ask, AgentOutcome.SECRET, status, size=size)
        if status != httpx.codes.OK:
            return _ended(ask, AgentOutcome.HTTP_STATUS, status, raw, size)
        if size > RAW_MAX:
            return _ended(ask, AgentOutcome.TOO_LARGE, status, raw, size)
        return _ended(ask, AgentOutcome.ADVISED, status, raw, size)

    async def _post(self, body: bytes) -> tuple[int, str, int]:
        """Return status, text and size of the reply; of a larger one the first part and 1 more."""
        async with self._http.stream("POST", self._url, content=body) as reply:
            found = bytearray()
            async for part in reply.aiter_raw():
                found += part[: RAW_MAX + 1 - len(found)]
                if len(found) > RAW_MAX:
                    break
            return reply.status_code, found[:RAW_MAX].decode("utf-8", "replace"), len(found)


def _ended(
    ask: AskModel, outcome: AgentOutcome, status: int = 0, raw: str = "", size: int = 0
) -> ModelAnswered:
    return ModelAnswered(ask_id=ask.ask_id, outcome=outcome, status=status, raw=raw, raw_bytes=size)
