"""A write leaves this machine once: counted in bytes on the wire, whatever the exchange does to it.

A POST is an order, a DELETE may be repeated by execution alone. Redirects lead to a second exchange
that listens and must hear nothing; so must a proxy and a host that .netrc knows.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from btcbot.domain.ids import OrderId
from btcbot.domain.venue import Cancel, CancelAnswered, Outcome, Submitted
from tests.btcturk.certificates import make, server_side
from tests.btcturk.servers import RawExchange, Wire, raw_exchange, until
from tests.btcturk.venues import Venue, submit

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(60)]
REDIRECTS = (301, 302, 303, 307, 308)


async def quiet(wire: Wire) -> None:
    while True:
        await wire.request()
        await wire.answer(200, "{}")


async def written(here: Venue) -> tuple[Submitted, CancelAnswered]:
    """Send one order and one cancel; return what they came to."""
    order = await here.asked(submit(), Submitted)
    return order, await here.asked(Cancel(OrderId(7)), CancelAnswered)


def counts(exchange: RawExchange) -> tuple[int, int]:
    """Return how many POSTs and DELETEs arrived, in whole or in part."""
    return len(exchange.posts), sum(raw.startswith(b"DELETE ") for raw in exchange.requests)


@asynccontextmanager
async def elsewhere() -> AsyncIterator[RawExchange]:
    """Give a second exchange, which must never be heard from."""
    async with raw_exchange(quiet) as other:
        yield other
        assert other.requests == []
        assert other.accepted == 0


@pytest.mark.parametrize("status", REDIRECTS)
async def test_a_redirect_of_a_write_is_not_followed(tmp_path: Path, status: int) -> None:
    async with elsewhere() as other:

        async def redirecting(wire: Wire) -> None:
            while True:
                await wire.request()
                await wire.answer(status, "", f"Location: {other.url}/api/v1/order")

        async with raw_exchange(redirecting) as exchange, Venue(exchange, tmp_path) as here:
            order, cancel = await written(here)

            assert order.outcome is Outcome.UNKNOWN
            assert not cancel.is_accepted
            assert f"HTTP {status}" in cancel.detail
            assert counts(exchange) == (1, 1)


@pytest.mark.parametrize("parting", [b"", b"HTTP/1.1 ", b"\x15\x03\x03\x00\x02\x02\x50"])
async def test_a_write_cut_off_without_an_answer_is_not_written_again(
    tmp_path: Path, parting: bytes
) -> None:
    async def cutting(wire: Wire) -> None:
        await wire.request()
        await wire.say(parting)

    async with raw_exchange(cutting) as exchange, Venue(exchange, tmp_path) as here:
        order, cancel = await written(here)

        assert order.outcome is Outcome.UNKNOWN
        assert not cancel.is_accepted
        assert counts(exchange) == (1, 1)


async def test_a_kept_connection_dropped_as_the_write_leaves_is_not_replaced_for_it(
    tmp_path: Path,
) -> None:
    """The classic: an idle connection dies in the moment it is used, and a pool tries another."""

    async def dropping(wire: Wire) -> None:
        await wire.request()
        await wire.answer(200, "{}")
        await wire.request()
        wire.reset()

    async with raw_exchange(dropping) as exchange, Venue(exchange, tmp_path) as here:
        for count in range(1, 6):
            await here.asked(submit(), Submitted)
            await here.asked(Cancel(OrderId(count)), CancelAnswered)

            assert counts(exchange) == (count, count)


async def test_an_offer_of_http_2_is_declined_and_one_post_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = make(tmp_path / "ca")
    monkeypatch.setenv("SSL_CERT_FILE", str(pair[0]))
    async with (
        raw_exchange(quiet, ssl=server_side(pair, "h2", "http/1.1")) as exchange,
        Venue(exchange, tmp_path) as here,
    ):
        await written(here)

        assert counts(exchange) == (1, 1)
        assert not any(raw.startswith(b"PRI ") for raw in exchange.requests)
        spoken = {
            wire.writer.get_extra_info("ssl_object").selected_alpn_protocol()
            for wire in exchange.wires
        }
        assert spoken == {"http/1.1"}


async def test_an_exchange_that_speaks_nothing_but_http_2_gets_no_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = make(tmp_path / "ca")
    monkeypatch.setenv("SSL_CERT_FILE", str(pair[0]))

    async def second(wire: Wire) -> None:
        await wire.say(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00")  # SETTINGS, unasked.
        await wire.closed()

    async with raw_exchange(second, ssl=server_side(pair, "h2")) as exchange:
        here = Venue(exchange, tmp_path)
        try:
            await until(lambda: exchange.accepted > 2, 20)
            here.measure()
            order = await here.asked(submit(), Submitted)

            # Either no connection stood, or what was sent drew no answer: never a second try.
            assert order.outcome in (Outcome.NOT_SENT, Outcome.UNKNOWN)
            assert len(exchange.posts) <= 1
        finally:
            await here.btcturk.close()


async def test_neither_a_proxy_nor_netrc_sees_a_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with elsewhere() as other:
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, other.url)
        (tmp_path / ".netrc").write_text("default login somebody password secret\n")
        (tmp_path / ".netrc").chmod(0o600)
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
        async with raw_exchange(quiet) as exchange, Venue(exchange, tmp_path) as here:
            await written(here)

            assert counts(exchange) == (1, 1)
            assert b"authorization" not in b"".join(exchange.requests).lower()
