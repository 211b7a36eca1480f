"""Reads and cancels over HTTP: one client, no redirects, no proxies, bounded time.

A read may be tried again inside its bound; a DELETE is by order id and is repeated by the core.
Whatever does not come back as the exchange's own JSON is a `RestError` with what was found.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Any

import httpx

from btcbot.btcturk import wire
from btcbot.btcturk.auth import KeyPair
from btcbot.btcturk.rate_budget import RateBudget

TIMEOUT_S = 5.0
TRIES = 3
ORDER_NOT_FOUND = 1152
Stamp = Callable[[], int]
Monotonic = Callable[[], int]


class RestError(Exception):
    """No usable answer; nothing may be concluded from it."""

    def __init__(self, detail: str, *, is_unauthorised: bool = False, code: str = "") -> None:
        super().__init__(detail)
        self.is_unauthorised = is_unauthorised
        self.code = code


class Rest:
    """BTCTurk's REST, public and (with a key) private."""

    def __init__(
        self,
        base: str,
        monotonic: Monotonic,
        *,
        keys: KeyPair | None = None,
        stamp: Stamp | None = None,
    ) -> None:
        self._client = httpx.AsyncClient(
            base_url=base,
            timeout=TIMEOUT_S,
            follow_redirects=False,
            trust_env=False,
            transport=httpx.AsyncHTTPTransport(retries=0, http2=False, trust_env=False),
        )
        self._keys, self._stamp, self._monotonic = keys, stamp, monotonic
        self._budget = RateBudget()
        self._jitter = random.Random()  # Only ever spreads repeats in time.

    async def get(
        self, group: str, path: str, params: dict[str, Any] | None = None, *, private: bool = False
    ) -> bytes:
        """Return the body of a good answer. Tries three times. Raises RestError."""
        for left in reversed(range(TRIES)):
            try:
                return await self._once("GET", group, path, params, private=private)
            except RestError as error:
                if error.is_unauthorised or error.code or not left:
                    raise
                await asyncio.sleep(0.2 * self._jitter.uniform(0.5, 1.5) * (TRIES - left))
        raise AssertionError("not reached")

    async def delete(self, path: str, params: dict[str, Any]) -> bytes:
        """Send one DELETE, once. Raises RestError."""
        return await self._once("DELETE", "cancel", path, params, private=True)

    async def close(self) -> None:
        await self._client.aclose()

    async def _once(
        self, method: str, group: str, path: str, params: dict[str, Any] | None, *, private: bool
    ) -> bytes:
        wait_ns = self._budget.wait_ns(group, self._monotonic())
        if wait_ns > TIMEOUT_S * 1e9:
            raise RestError(f"our own rate budget: {wait_ns / 1e9:.0f} s to wait", code="budget")
        if wait_ns:
            await asyncio.sleep(wait_ns / 1e9)
        self._budget.take(group, self._monotonic())
        try:
            reply = await self._client.request(
                method, path, params=params, headers=self._headers() if private else None
            )
        except httpx.HTTPError as error:
            raise RestError(f"{type(error).__name__}: {error or 'no detail'}") from None
        return self._judged(reply, group)

    def _headers(self) -> dict[str, str]:
        assert self._keys is not None, "a private request without a key"
        assert self._stamp is not None, "a private request without a stamp"
        return self._keys.headers(self._stamp())

    def _judged(self, reply: httpx.Response, group: str) -> bytes:
        if reply.status_code == 200:  # noqa: PLR2004
            said = wire.verdict(reply.content)
            if said is None or said.success is not False:
                return reply.content
        else:
            said = wire.verdict(reply.content)
        detail = f"HTTP {reply.status_code}"
        if said is None or (said.message is None and said.code is None):
            start = reply.content[:60].decode("utf-8", "replace")
            detail += f", not the exchange's JSON: {start!r}" if start else ", an empty body"
            raise RestError(detail)
        detail += f", code {said.code}: {said.message}"
        if reply.status_code == 429:  # noqa: PLR2004
            wait_s = _seconds(reply.headers.get("Retry-After", ""))
            self._budget.close(group, wait_s, self._monotonic())
            raise RestError(f"{detail}; waiting {wait_s:.0f} s", code="429")
        raise RestError(
            detail,
            is_unauthorised=reply.status_code == 401,  # noqa: PLR2004
            code=str(said.code or ""),
        )


def _seconds(text: str) -> float:
    """Return a Retry-After in seconds; a minute when it is missing or strange."""
    return float(text) if text.isascii() and text.isdigit() and len(text) < 5 else 60.0  # noqa: PLR2004
