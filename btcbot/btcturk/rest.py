"""Reads and cancels over HTTP: no redirects, no proxies, no hidden repeats, bounded time.

A read may be tried again inside its bound; a DELETE is by order id and is repeated by the core.
Whatever does not come back as the exchange's own JSON is a `RestError` with what was found.
Cancels have connections of their own, so reads that hang cannot hold one up.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, TypeAlias

from btcbot.btcturk import wire
from btcbot.btcturk.auth import KeyPair
from btcbot.btcturk.breaker import Breaker
from btcbot.btcturk.client import httpx
from btcbot.btcturk.failures import PERMISSIONS, Failure, remedy_of_401, why_no_connection
from btcbot.btcturk.grammar import start
from btcbot.btcturk.hear import Hear, nobody
from btcbot.btcturk.hear import reply as tell
from btcbot.btcturk.network import Internet, Network
from btcbot.btcturk.rate_budget import SECOND_NS, Priority, RateBudget, retry_after_s

TRY_S: Final = 4.0
BOUND_S: Final = 9.0  # Of a read with all its tries; the core forgets one after 10 s.
TRIES: Final = 3
BUDGET_WAIT_S: Final = 5.0
BODY_MAX: Final = 8 << 20  # Exchange info has 355 KB.
KEEP_ALIVE_S: Final = 60.0
BARE: Final = frozenset({"ohlcs", "chart"})  # Groups of the chart host: no envelope.
_ADVICE: Final = {
    301: "; it sends us elsewhere, and we do not follow: check the address",
    302: "; it sends us elsewhere, and we do not follow: check the address",
    307: "; it sends us elsewhere, and we do not follow: check the address",
    308: "; it sends us elsewhere, and we do not follow: check the address",
    403: "; it blocks this address, or a guard in front of it does: see status.btcturk.com",
    404: "; it has no such path: check the address",
    503: "; it is in maintenance: see status.btcturk.com",
}
Stamp: TypeAlias = Callable[[], int]
Ready: TypeAlias = Callable[[], Awaitable[None]]
Monotonic: TypeAlias = Callable[[], int]
Params: TypeAlias = Mapping[str, str | int]


class RestError(Exception):
    """No usable answer; `failure` says of which kind, and whether that is evidence of anything."""

    def __init__(self, failure: Failure, detail: str, *, is_passing: bool = False) -> None:
        super().__init__(detail)
        self.failure = failure
        self.is_passing = is_passing  # Another try may do better.


async def _always() -> None:
    return


@dataclass(frozen=True, slots=True)
class Signing:
    """A key, the stamp of the next request, and what is waited for before one is taken.

    `ready` raises RestError when nothing may be signed now.
    """

    keys: KeyPair
    stamp: Stamp
    ready: Ready = _always


class Rest:
    """BTCTurk's REST, public and (with a key) private."""

    def __init__(  # noqa: PLR0913 - what differs between one client and another
        self,
        base: str,
        monotonic: Monotonic,
        *,
        signing: Signing | None = None,
        budget: RateBudget | None = None,
        network: Network | None = None,
        breaker: Breaker | None = None,
        hear: Hear = nobody,
    ) -> None:
        """Without `signing` only public groups may be asked; `hear` is told every reply."""
        self._base, self._monotonic, self._hear = base, monotonic, hear
        self._signing = signing
        self._budget = budget if budget is not None else RateBudget()
        self._breaker = breaker if breaker is not None else Breaker()
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
        priority: Priority = Priority.ROUTINE,
        tries: int = TRIES,
    ) -> bytes:
        """Return the body of a good answer, from one of `tries`, within 9 s. Raises RestError.

        Of the private groups it is signed.
        """
        try:
            async with asyncio.timeout(BOUND_S):
                return await self._get(group, path, params, priority, tries)
        except TimeoutError:
            detail = f"no answer from {self._base} in {BOUND_S:.0f} s"
            raise RestError(Failure.NO_ANSWER, detail) from None

    async def delete(self, path: str, params: Params) -> bytes:
        """Send one DELETE, once. Raises RestError."""
        await self._admit("cancel", Priority.SETTLING)
        return await self._once(self._cancels, "DELETE", "cancel", path, params)

    async def close(self) -> None:
        await self._reads.aclose()
        await self._cancels.aclose()

    async def _get(
        self, group: str, path: str, params: Params | None, priority: Priority, tries: int
    ) -> bytes:
        for left in reversed(range(tries)):
            await self._admit(group, priority)
            try:
                return await self._once(self._reads, "GET", group, path, params)
            except RestError as error:
                if not error.is_passing or not left:
                    raise
                await asyncio.sleep(0.2 * self._jitter.uniform(0.5, 1.5) * (tries - left))
        raise AssertionError(f"asked to try {tries} times")

    async def _admit(self, group: str, priority: Priority) -> None:
        """Wait for our turn in the rate budget. Raises RestError when that would take long."""
        while not self._budget.take(group, self._monotonic(), priority):
            wait_s = self._budget.wait_ns(group, self._monotonic(), priority) / SECOND_NS
            if wait_s > BUDGET_WAIT_S:
                detail = f"our rate budget for {group} opens in {wait_s:.0f} s"
                raise RestError(Failure.LIMITED, detail)
            await asyncio.sleep(wait_s)
        if not self._breaker.take(group, self._monotonic()):
            raise RestError(Failure.UNAUTHORISED, self.why_refused(group))
        if group in PERMISSIONS and self._signing is not None:
            await self._signing.ready()

    def why_refused(self, group: str) -> str:
        """Return why nothing of `group` is sent just now: the exchange refused our key."""
        wait_s = self._breaker.wait_ns(group, self._monotonic()) // SECOND_NS
        return f"not asked, next probe in {wait_s} s, after 401s in a row: {self._breaker.last}"

    async def _once(
        self,
        client: httpx.AsyncClient,
        method: str,
        group: str,
        path: str,
        params: Params | None,
    ) -> bytes:
        headers = self._headers() if group in PERMISSIONS else None
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
            raise RestError(Failure.NO_ANSWER, detail, is_passing=True) from None
        except httpx.HTTPError as error:
            detail = why_no_connection(self._base, error)
            raise RestError(Failure.NO_ANSWER, detail, is_passing=True) from None
        return self._judged(reply, body, group)

    def _headers(self) -> dict[str, str]:
        assert self._signing is not None, "a private request without a key"
        return self._signing.keys.headers(self._signing.stamp())

    def _judged(self, reply: httpx.Response, body: bytes, group: str) -> bytes:
        """Return `body` if it is a success by status and by its own word. Raises RestError."""
        status, said = reply.status_code, wire.verdict(body)
        if said is not None and not (said.text or said.code_text) and status != 200:
            said = None
        detail = f"HTTP {status}"
        if said is not None:
            detail += f", code {said.code_text or 'none'}: {said.text[:200] or 'no text'}"
        else:
            detail += f", not the exchange's JSON: {start(body)}" if body else ", an empty body"
        if status == 200 and group in BARE and body[:1] in (b"[", b"{"):
            return body
        if status == 401:
            text = said.text if said is not None else ""
            detail = f"{detail}; {remedy_of_401(group, text)}"
            self._breaker.refused(group, detail, self._monotonic())
            raise RestError(Failure.UNAUTHORISED, detail)
        if status == 429 or "Retry-After" in reply.headers:
            wait_s = retry_after_s(reply.headers.get("Retry-After", ""))
            self._budget.close(group, wait_s, self._monotonic())
            is_passing = wait_s <= BUDGET_WAIT_S
            raise RestError(
                Failure.LIMITED, f"{detail}; waiting {wait_s:.0f} s", is_passing=is_passing
            )
        if said is not None and status in (200, 400):
            self._breaker.accepted(group)
        if status == 200 and said is not None and said.success is not False:
            return body
        failure = _failure_of(status, said)
        raise RestError(
            failure,
            detail + _ADVICE.get(status, ""),
            is_passing=failure is Failure.NO_ANSWER or (status == 200 and said is None),
        )


def _failure_of(status: int, said: wire.Verdict | None) -> Failure:
    if status >= 500:
        return Failure.NO_ANSWER
    if said is None or said.success is not False or status not in (200, 400):
        return Failure.MALFORMED
    return Failure.NOT_FOUND if said.says_not_found else Failure.REFUSED


async def _body(reply: httpx.Response) -> bytes:
    """Return the unpacked body. Raises RestError when there is no end to it."""
    body, parts = bytearray(), reply.aiter_bytes()
    assert isinstance(parts, AsyncGenerator), f"not a generator: {parts}"
    async with aclosing(parts):
        async for part in parts:
            body += part
            if len(body) > BODY_MAX:
                detail = f"an answer of over {BODY_MAX} bytes from {reply.url.host}"
                raise RestError(Failure.MALFORMED, detail)
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
