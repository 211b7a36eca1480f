"""Reads and cancels over HTTP: no redirects, no proxies, no hidden repeats, bounded time.

A read may be tried again inside its bound; a DELETE is by order id and is repeated by the core.
Whatever does not come back as the exchange's own JSON is a `RestError` with what was found.
Cancels have connections of their own, so reads that hang cannot hold one up.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Final, TypeAlias

from btcbot.btcturk import wire
from btcbot.btcturk.auth import KeyPair
from btcbot.btcturk.client import httpx
from btcbot.btcturk.grammar import start
from btcbot.btcturk.hear import Hear, nobody
from btcbot.btcturk.hear import reply as tell
from btcbot.btcturk.network import Internet, Network
from btcbot.btcturk.rate_budget import SECOND_NS, RateBudget, retry_after_s

TRY_S: Final = 4.0
BOUND_S: Final = 9.0  # Of a read with all its tries; the core forgets one after 10 s.
TRIES: Final = 3
BUDGET_WAIT_S: Final = 5.0
BODY_MAX: Final = 8 << 20  # Exchange info has 355 KB.
KEEP_ALIVE_S: Final = 60.0
Stamp: TypeAlias = Callable[[], int]
Monotonic: TypeAlias = Callable[[], int]
Params: TypeAlias = Mapping[str, str | int]


class RestError(Exception):
    """No usable answer; nothing may be concluded from it, unless `said` is the exchange's no."""

    def __init__(
        self,
        detail: str,
        *,
        said: wire.Verdict | None = None,
        is_unauthorised: bool = False,
        is_passing: bool = False,
    ) -> None:
        super().__init__(detail)
        self.said = said
        self.is_unauthorised = is_unauthorised
        self.is_passing = is_passing  # Another try may do better.


class Rest:
    """BTCTurk's REST, public and (with a key) private."""

    def __init__(  # noqa: PLR0913 - what differs between one client and another
        self,
        base: str,
        monotonic: Monotonic,
        *,
        keys: KeyPair | None = None,
        stamp: Stamp | None = None,
        budget: RateBudget | None = None,
        network: Network | None = None,
        hear: Hear = nobody,
    ) -> None:
        """`hear` is told every reply as it came."""
        self._base, self._monotonic, self._hear = base, monotonic, hear
        self._keys, self._stamp = keys, stamp
        self._budget = budget if budget is not None else RateBudget()
        tls = tls_context(is_secure=base.startswith("https:"))
        network = network or Internet()
        self._reads = _client(base, tls, network.transport())
        self._cancels = _client(base, tls, network.transport())
        self._jitter = network.chance

    async def get(
        self,
        group: str,
        path: str,
        params: Params | None = None,
        *,
        private: bool = False,
        tries: int = TRIES,
    ) -> bytes:
        """Return the body of a good answer, from one of `tries`, within 9 s. Raises RestError."""
        try:
            async with asyncio.timeout(BOUND_S):
                return await self._get(group, path, params, private=private, tries=tries)
        except TimeoutError:
            raise RestError(f"no answer from {self._base} in {BOUND_S:.0f} s") from None

    async def delete(self, path: str, params: Params) -> bytes:
        """Send one DELETE, once. Raises RestError."""
        await self._admit("cancel")
        return await self._once(self._cancels, "DELETE", "cancel", path, params, private=True)

    async def close(self) -> None:
        await self._reads.aclose()
        await self._cancels.aclose()

    async def _get(
        self, group: str, path: str, params: Params | None, *, private: bool, tries: int
    ) -> bytes:
        for left in reversed(range(tries)):
            await self._admit(group)
            try:
                return await self._once(self._reads, "GET", group, path, params, private=private)
            except RestError as error:
                if not error.is_passing or not left:
                    raise
                await asyncio.sleep(0.2 * self._jitter.uniform(0.5, 1.5) * (tries - left))
        raise AssertionError(f"asked to try {tries} times")

    async def _admit(self, group: str) -> None:
        """Wait for our turn in the rate budget. Raises RestError when that would take long."""
        while not self._budget.take(group, self._monotonic()):
            wait_s = self._budget.wait_ns(group, self._monotonic()) / SECOND_NS
            if wait_s > BUDGET_WAIT_S:
                raise RestError(f"our rate budget for {group} opens in {wait_s:.0f} s")
            await asyncio.sleep(wait_s)

    async def _once(
        self,
        client: httpx.AsyncClient,
        method: str,
        group: str,
        path: str,
        params: Params | None,
        *,
        private: bool,
    ) -> bytes:
        headers = self._headers() if private else None
        try:
            async with (
                asyncio.timeout(TRY_S),
                client.stream(method, path, params=params, headers=headers) as reply,
            ):
                body = await _body(reply)
                target = reply.request.url.raw_path.decode("ascii")
                tell(self._hear, f"{method} {target}", reply.status_code, body)
        except TimeoutError:
            detail = f"no answer from {self._base} in {TRY_S:.0f} s"
            raise RestError(detail, is_passing=True) from None
        except httpx.HTTPError as error:
            detail = f"{self._base}: {type(error).__name__}: {str(error) or 'no detail'}"
            raise RestError(detail, is_passing=True) from None
        return self._judged(reply, body, group)

    def _headers(self) -> dict[str, str]:
        assert self._keys is not None, "a private request without a key"
        assert self._stamp is not None, "a private request without a stamp"
        return self._keys.headers(self._stamp())

    def _judged(self, reply: httpx.Response, body: bytes, group: str) -> bytes:
        """Return `body` if it is a success by status and by its own word. Raises RestError."""
        status, said = reply.status_code, wire.verdict(body)
        if status == 200 and said is not None and said.success is not False:
            return body
        detail = f"HTTP {status}"
        if said is not None and (said.text or said.code_text):
            detail += f", code {said.code_text or 'none'}: {said.text[:200] or 'no text'}"
        else:
            said = None
            detail += f", not the exchange's JSON: {start(body)}" if body else ", an empty body"
        if status == 429 or "Retry-After" in reply.headers:
            wait_s = retry_after_s(reply.headers.get("Retry-After", ""))
            self._budget.close(group, wait_s, self._monotonic())
            raise RestError(f"{detail}; waiting {wait_s:.0f} s")
        raise RestError(
            detail,
            said=said,
            is_unauthorised=status == 401,
            is_passing=status >= 500 or (status == 200 and said is None),
        )


async def _body(reply: httpx.Response) -> bytes:
    """Return the unpacked body. Raises RestError when there is no end to it."""
    body, parts = bytearray(), reply.aiter_bytes()
    assert isinstance(parts, AsyncGenerator), f"not a generator: {parts}"
    async with aclosing(parts):
        async for part in parts:
            body += part
            if len(body) > BODY_MAX:
                raise RestError(f"an answer of over {BODY_MAX} bytes from {reply.url.host}")
    return bytes(body)


def tls_context(*, is_secure: bool) -> ssl.SSLContext:
    """Return the verified default context; for plain HTTP one that is cheap and trusts nobody."""
    if not is_secure:
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _client(
    base: str, tls: ssl.SSLContext, transport: httpx.AsyncBaseTransport | None
) -> httpx.AsyncClient:
    limits = httpx.Limits(
        max_connections=8, max_keepalive_connections=4, keepalive_expiry=KEEP_ALIVE_S
    )
    return httpx.AsyncClient(
        base_url=base,
        timeout=TRY_S,
        follow_redirects=False,
        trust_env=False,
        transport=transport
        or httpx.AsyncHTTPTransport(
            verify=tls, retries=0, http1=True, http2=False, trust_env=False, limits=limits
        ),
    )
