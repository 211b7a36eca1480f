"""What `btcbot check` asks an exchange: public reads, then reads of the account; nothing is sent.

Each permission of the key is proven by a read that needs it, and by nothing else.
"""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Final

from btcbot.btcturk import rules, wire
from btcbot.btcturk.auth import KeyPair
from btcbot.btcturk.drift import Drift
from btcbot.btcturk.grammar import WireError
from btcbot.btcturk.reads import Reads
from btcbot.btcturk.rest import Rest, RestError, Signing
from btcbot.btcturk.server_clock import ServerClock
from btcbot.cli.check_machine import Row
from btcbot.config import Config
from btcbot.domain.ids import OrderId, Pair, is_of_btcbot, is_ours
from btcbot.domain.instruments import Instrument
from btcbot.domain.venue import ReadFills, VenueOrder
from bus.clock import SystemClock

MILLISECOND_NS: Final = 1_000_000
OFFSET_MAX_MS: Final = 2_000  # BTCTurk refuses stamps 5 s off.
RECENT_MS: Final = 86_400_000
Failed = (RestError, WireError)


class Account:
    """An exchange as one key sees it."""

    def __init__(self, config: Config, keys: KeyPair | None) -> None:
        self._config, self._clock, self.server = config, SystemClock(), ServerClock()
        signing = None if keys is None else Signing(keys, self.stamp_ms)
        self._rest = Rest(config.addresses.rest, self._clock.monotonic_ns, signing=signing)
        self._reads = Reads(self._rest, self._clock, Drift(lambda _name: None))
        self.instruments: dict[Pair, Instrument] = {}

    def stamp_ms(self) -> int:
        """Return the exchange's time, as far as it was measured."""
        return self.server.now_ms(self._clock.now_ns())

    async def close(self) -> None:
        await self._rest.close()

    async def public(self) -> list[Row]:
        """Return whether the exchange answers, how far its clock is, and whether it has our pairs.

        When it does not answer, that alone.
        """
        reached = await self._time()
        if not reached[0].ok:
            return reached
        return [*reached, await self._pairs()]

    async def permissions(self) -> list[Row]:
        """Return whether the key may do what it is for, by reads."""
        pair, since_ms = self._config.pairs[0], self.stamp_ms() - RECENT_MS
        reads: dict[str, Callable[[], Awaitable[object]]] = {
            "Total Funds (balances)": self._reads.balances,
            "Account (own trades)": lambda: self._reads.fills(ReadFills(since_ms=since_ms)),
            "Trade (open orders)": lambda: self._reads.open_orders(pair),
        }
        return [await self._permission(name, read) for name, read in reads.items()]

    async def orders(self, instance: str) -> list[Row]:
        """Return what rests on the account, and whose labels its orders have."""
        opened: list[VenueOrder] = []
        recent: list[VenueOrder] = []
        unread: list[str] = []
        for pair in self._config.pairs:
            try:
                opened += (await self._reads.open_orders(pair)).orders
                recent += (await self._reads.all_orders(pair, OrderId(0))).orders
            except Failed as error:
                unread.append(f"{pair}: {error}")
        since_ms = self.stamp_ms() - RECENT_MS
        others = [row for row in opened if not (instance and is_ours(row.client_id, instance))]
        foreign = [
            row
            for row in (*opened, *recent)
            if is_of_btcbot(row.client_id)
            and not (instance and is_ours(row.client_id, instance))
            and (row.is_open or row.created_ms >= since_ms)
        ]
        return [
            _listed("open orders", others, unread, len(opened), "no order but this home's own",
                    "cancel them at the exchange, or let them end; their money is held"),
            _listed("other btcbots", foreign, unread, 0,
                    "no order of another btcbot, open or of the last day",
                    "one account, one btcbot: stop the other, or give it an account of its own"),
        ]  # fmt: skip

    async def best_bid(self, pair: Pair) -> Decimal:
        """Return the best bid of now. Raises RestError, WireError."""
        body = await self._rest.get("order_book", "/api/v2/orderbook", {"pairSymbol": pair})
        bids, _, _ = wire.book(body)
        if not bids:
            raise WireError(f"{pair}: no bid in its book")
        return Decimal(bids[0].price)

    async def _time(self) -> list[Row]:
        address = self._config.addresses.rest
        wanted = "an answer to its time"
        try:
            found = await self._reads.time()
        except Failed as error:
            remedy = "check exchange.rest_url, network and DNS"
            if self._config.mode == "sandbox":
                remedy = "start it: btcbot up, or btcbot sandbox"
            told = f"{address}: {error}"
            return [Row(name="exchange", ok=False, found=told, wanted=wanted, remedy=remedy)]
        self.server.measured(found, self._clock.now_ns(), self._clock.monotonic_ns())
        offset_ms = found.offset_ns / MILLISECOND_NS
        error_ms = found.error_ns / MILLISECOND_NS
        limit_ms = self._config.orders.clock_error_max_ms
        return [
            Row(name="exchange", ok=True, found=f"{address} answers", wanted=wanted),
            Row(
                name="time offset",
                ok=abs(offset_ms) <= OFFSET_MAX_MS and error_ms <= limit_ms,
                found=f"its clock is {offset_ms:+.1f} ms from ours, known to {error_ms:.1f} ms",
                wanted=f"within {OFFSET_MAX_MS} ms, known to {limit_ms} ms (orders."
                "clock_error_max_ms)",
                remedy="set this machine's time (timedatectl); else the line is slow: try again",
            ),
        ]

    async def _pairs(self) -> Row:
        wanted = f"{', '.join(self._config.pairs)}: listed and trading"
        try:
            body = await self._rest.get("public", "/api/v2/server/exchangeinfo")
            found, _ = rules.instruments(body)
        except Failed as error:
            return Row(name="pairs", ok=False, found=str(error), wanted=wanted, remedy="try again")
        self.instruments = {row.pair: row for row in found}
        wrong = [
            f"{pair} {'does not trade' if pair in self.instruments else 'is not listed'}"
            for pair in self._config.pairs
            if pair not in self.instruments or not self.instruments[pair].is_trading
        ]
        told = ", ".join(wrong) or f"{len(found)} pairs, ours among them and trading"
        remedy = "take them out of `pairs`"
        return Row(name="pairs", ok=not wrong, found=told, wanted=wanted, remedy=remedy)

    async def _permission(self, name: str, read: Callable[[], Awaitable[object]]) -> Row:
        wanted = "a signed read that is answered"
        try:
            await read()
        except Failed as error:
            return Row(
                name=f"key: {name}", ok=False, found=str(error), wanted=wanted,
                remedy="give the key this permission, and this machine's address, at the exchange",
            )  # fmt: skip
        return Row(name=f"key: {name}", ok=True, found="answered", wanted=wanted)


def ask(config: Config, keys: KeyPair | None, instance: str | None) -> list[Row]:
    """Return the rows of an exchange; `instance`: with those of its account's orders."""

    async def asked() -> list[Row]:
        account = Account(config, keys)
        try:
            rows = await account.public()
            if not rows[0].ok or keys is None:
                return rows
            rows += await account.permissions()
            if instance is not None:
                rows += await account.orders(instance)
            return rows
        finally:
            await account.close()

    return asyncio.run(asked())


def _listed(
    name: str, rows: list[VenueOrder], unread: list[str], own: int, wanted: str, remedy: str
) -> Row:
    told = [f"{row.order_id} {row.pair} {row.side} {row.client_id!r}" for row in rows[:3]]
    found = "; ".join(told) + (f" and {len(rows) - 3} more" if len(rows) > 3 else "")
    if unread:
        found = "; ".join([*told, *unread])
    return Row(
        name=name, ok=not rows and not unread, found=found or f"none ({own} in all)",
        wanted=wanted, remedy=remedy,
    )  # fmt: skip
