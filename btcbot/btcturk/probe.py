"""One signed request after the other, each sent once, with whatever stamp and headers are asked.

For experiments that a person starts: execution never comes here. What comes back is evidence, not
an outcome: status, body and time, or why there is none.
"""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from btcbot.btcturk.auth import KeyPair
from btcbot.btcturk.client import httpx
from btcbot.btcturk.rest import Monotonic, Params, tls_context

TIMEOUT_S: Final = 10.0
HEADERS_KEPT: Final = ("retry-after", "content-type")


class Evidence(Struct, frozen=True, kw_only=True):
    """What one request brought; `status` 0: no answer, and `body` says why."""

    method: str
    path: str
    stamp_ms: int
    status: int
    body: str
    took_ms: float
    headers: dict[str, str] = {}


class Prober:
    """One connection pool, no retries, no redirects."""

    def __init__(self, base: str, keys: KeyPair, monotonic: Monotonic) -> None:
        self._keys, self._monotonic = keys, monotonic
        self._http = httpx.AsyncClient(
            base_url=base,
            timeout=TIMEOUT_S,
            follow_redirects=False,
            trust_env=False,
            transport=httpx.AsyncHTTPTransport(
                verify=tls_context(is_secure=base.startswith("https:")), retries=0, trust_env=False
            ),
        )

    def headers(self, stamp_ms: int) -> dict[str, str]:
        return self._keys.headers(stamp_ms)

    async def send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        *,
        params: Params | None = None,
        body: bytes = b"",
    ) -> Evidence:
        """Send one request, once; the signature is not part of the evidence."""
        began, content, kept = self._monotonic(), "", dict[str, str]()
        try:
            reply = await self._http.request(
                method, path, params=params, headers=dict(headers), content=body or None
            )
            status, content = reply.status_code, reply.text
            kept = {name: reply.headers[name] for name in HEADERS_KEPT if name in reply.headers}
        except httpx.HTTPError as error:
            status, content = 0, f"{type(error).__name__}: {error}"
        return Evidence(
            method=method,
            path=path,
            stamp_ms=int(headers["X-Stamp"]),
            status=status,
            body=content[:4_000],
            took_ms=round((self._monotonic() - began) / 1e6, 1),
            headers=kept,
        )

    async def close(self) -> None:
        await self._http.aclose()
