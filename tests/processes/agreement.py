"""The history checker: the exchange's own truth against everything the bot wrote down."""

import time
from collections import Counter
from decimal import Decimal

from tests.processes.fleet import Fleet, Json, until

TERMINAL = {"REJECTED", "NOT_SENT", "ABSENT", "CLOSED", "REFUSED"}


def settle(fleet: Fleet, seconds: float = 240) -> None:
    """Stop new orders, cancel what is open, and wait until nothing is left in doubt."""
    fleet.ctl("pause", "--reason", "the checker counts")

    def is_quiet() -> bool:
        for order in fleet.json("orders", "list")["orders"]:
            if order["state"] == "OPEN":
                fleet.ctl("orders", "cancel", order["client_order_id"])
        orders = fleet.status()["orders"]
        return bool(orders["open"] == 0 and orders["unknown"] == 0)

    until("no open and no unknown orders", is_quiet, seconds, every=1)


def disagreements(fleet: Fleet) -> list[str]:
    """Return every way in which the bot's books differ from the exchange; empty is right."""
    orders, fills = fleet.export("orders"), fleet.export("fills")
    return [
        *_orders(fleet.truth("orders"), orders),
        *_fills(fleet.truth("trades"), fills),
        *_balances(fleet.truth("balances"), fleet.status()["balances"]),
    ]


def differences(fleet: Fleet, seconds: float = 20) -> list[str]:
    """Return what still differs after `seconds`: balances are read again only every few seconds."""
    deadline = time.monotonic() + seconds
    while (found := disagreements(fleet)) and time.monotonic() < deadline:
        time.sleep(0.5)
    return found


def _orders(truth: Json, ours: Json) -> list[str]:
    found = []
    labels = Counter(row["client_id"] for row in truth)
    found += [f"{label} is on the exchange {n} times" for label, n in labels.items() if n > 1]
    known = {row["order_id"]: row for row in ours if row["order_id"] is not None}
    found += [f"order {row['id']} is unknown to the bot" for row in truth if row["id"] not in known]
    intents = Counter(row["intent_id"] for row in ours)
    found += [f"intent {intent} has {n} orders" for intent, n in intents.items() if n > 1]
    there = {row["id"] for row in truth}
    found += [f"order {number} is not on the exchange" for number in known if number not in there]
    found += [
        f"{row['client_order_id']} is still {row['state']}"
        for row in ours
        if row["state"] not in TERMINAL
    ]
    return found


def _fills(truth: Json, ours: Json) -> list[str]:
    def facts(rows: Json) -> Counter[tuple[object, ...]]:
        return Counter(
            (
                row["trade_id"],
                row["order_id"],
                row["side"],
                *(Decimal(row[name]) for name in ("quantity", "price", "fee", "tax")),
            )
            for row in rows
        )

    there, here = facts(truth), facts(ours)
    missing = [f"fill {row} is missing here" for row in there - here]
    return missing + [f"fill {row} is not on the exchange" for row in here - there]


def _balances(truth: Json, ours: Json) -> list[str]:
    there = {row["asset"]: (Decimal(row["total"]), Decimal(row["free"])) for row in truth}
    here = {row["asset"]: (Decimal(row["total"]), Decimal(row["free"])) for row in ours}
    return [
        f"{asset}: exchange {there.get(asset)}, bot {here.get(asset)}"
        for asset in sorted(there.keys() | here.keys())
        if there.get(asset, (0, 0)) != here.get(asset, (0, 0))
    ]
