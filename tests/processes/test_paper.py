"""Modes paper and dry_run: another's public market, our own orders, and nobody's private calls."""

import contextlib
import os
import signal
import urllib.error
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

from tests.processes.agreement import settle
from tests.processes.fleet import Exchange, Fleet, until

pytestmark = [pytest.mark.timeout(600), pytest.mark.fleet]
LIVELY = (
    "{order_notional=400, position_notional_max=1500, entry_dip_bps=2.0, profit_bps=1.0,"
    " stop_loss_bps=80.0, anchor_s=5.0, warm_up_s=3.0, life_s=4.0, rest_s=4.0}"
)
HELD = '{TRY = 50000, BTC = "0.01"}'


@contextlib.contextmanager
def following(folder: Path, mode: str) -> Iterator[Fleet]:
    """Yield a fleet of `mode` that follows the market of an exchange it has no key for."""
    exchange = Exchange(folder)
    fleet = Fleet(
        folder / "home",
        BTCBOT__MODE=mode,
        BTCBOT__EXCHANGE__REST_URL=exchange.url,
        BTCBOT__EXCHANGE__GRAPH_URL=exchange.url,
        BTCBOT__EXCHANGE__WS_URL=exchange.url.replace("http", "ws") + "/ws",
        BTCBOT__STRATEGY__PARAMS=LIVELY,
        BTCBOT__PAPER__BALANCES=HELD,
    )
    fleet.port = exchange.port
    try:
        until("the exchange answers", lambda: answers(fleet), 20)
        started = fleet.up()
        assert started.returncode == 0, f"{started.stdout}\n{started.stderr}"
        assert started.stdout.startswith("ARMED: orders go to ")
        yield fleet
    finally:
        fleet.end()
        exchange.end()


def answers(fleet: Fleet) -> bool:
    with contextlib.suppress(urllib.error.URLError, ConnectionError):
        fleet.truth("balances")
        return True
    return False


def private_calls(fleet: Fleet) -> list[str]:
    """Return what the followed exchange was asked that needs a key."""
    public = ("/api/v2/server/", "/api/v2/orderbook", "/api/v2/trades", "/api/v2/ticker",
              "/v1/klines/", "/v1/ohlcs")  # fmt: skip
    return [row["path"] for row in fleet.truth("requests") if not row["path"].startswith(public)]


def held(fleet: Fleet) -> dict[str, Decimal]:
    """Return what is held of each asset; one of which there is nothing may be named or not."""
    rows = fleet.json("balances")["balances"]
    return {row["asset"]: total for row in rows if (total := Decimal(row["total"]))}


def booked(fleet: Fleet) -> dict[str, Decimal]:
    """Return what the account holds by its start and the fills in the journal."""
    found = {"TRY": Decimal(50_000), "BTC": Decimal("0.01"), "ETH": Decimal(0)}
    for row in fleet.export("fills"):
        sign = 1 if row["side"] == "buy" else -1
        quantity, price = Decimal(row["quantity"]), Decimal(row["price"])
        found[row["pair"].removesuffix("TRY")] += sign * quantity
        found["TRY"] -= sign * quantity * price + Decimal(row["fee"]) + Decimal(row["tax"])
    return {asset: total for asset, total in found.items() if total}


def test_a_paper_account_trades_is_killed_and_goes_on_to_the_last_unit(tmp_path: Path) -> None:
    with following(tmp_path, "paper") as fleet:
        until("fills", lambda: len(fleet.export("fills")) >= 2, 150, every=0.5)
        for _ in range(3):
            before = fleet.pid("execution")
            os.kill(before, signal.SIGKILL)
            until("another execution", partial(is_ready, fleet, before), 60, every=0.2)
        fills = len(fleet.export("fills"))
        until("it trades on", lambda: len(fleet.export("fills")) > fills, 150, every=0.5)
        settle(fleet)

        until("the books are read again", lambda: held(fleet) == booked(fleet), 60, every=1)
        # Paused by us, and by nothing that it found.
        assert fleet.status()["trading_state_set"]["reason"] == "the checker counts"
        assert private_calls(fleet) == []


def is_ready(fleet: Fleet, other_than: int) -> bool:
    [row] = [row for row in fleet.status()["actors"] if row["name"] == "execution"]
    return bool(row["state"] == "READY" and row["pid"] != other_than)


def test_a_dry_run_records_what_it_would_send_and_sends_nothing(tmp_path: Path) -> None:
    with following(tmp_path, "dry_run") as fleet:
        until("a wish", lambda: would_go(fleet), 150, every=0.5)

        assert fleet.export("orders") == []
        assert held(fleet) == {"TRY": 50_000, "BTC": Decimal("0.01")}
        assert private_calls(fleet) == []


def would_go(fleet: Fleet) -> bool:
    return any(row["rule"] == "dry_run" for row in fleet.export("intents"))
