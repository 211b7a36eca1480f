"""`btcbot-ctl orders|trace`: what became of each order, from the database."""

from datetime import UTC, datetime
from typing import Final

import click

from btcbot.cli import exits
from btcbot.cli.common import Options, common, confirm, print_table, stop
from btcbot.cli.ctl_link import Json, carry_out, history

LIST_COLUMNS: Final = (
    "client_order_id", "order_id", "pair", "side", "quantity", "limit_price", "filled", "state",
)  # fmt: skip
# What a person need not see twice: the ids stand above, the postings follow from the fill.
UNTOLD: Final = (
    "intent", "intent_id", "postings", "client_order_id", "pair", "side", "fee_asset",
)  # fmt: skip


@click.group()
def orders() -> None:
    """List, show, cancel and resolve orders."""


@orders.command("list")
@click.option("--all", "everything", is_flag=True, help="Those that are over, too.")
@common
def orders_list(options: Options, *, everything: bool) -> None:
    """List the orders that are live: sent, open, in doubt, or not proven closed."""
    books = history(options)
    rows = list(books.orders()) if everything else books.live_orders()
    table = [(*(row[name] for name in LIST_COLUMNS), clock(row["created_ns"])[:8]) for row in rows]
    columns = (*LIST_COLUMNS, "created UTC")
    options.show({"orders": rows}, lambda: print_table(options, columns, table))


@orders.command("show")
@click.argument("name", metavar="ORDER_ID")
@common
def orders_show(options: Options, *, name: str) -> None:
    """Show one order, by client order id, exchange id or intent id."""
    found = order_of(options, name)
    options.show(found, lambda: print_table(options, ("field", "value"), list(found.items())))


@orders.command("cancel")
@click.argument("name", metavar="ORDER_ID")
@click.option("--reason", default="", help="For the log.")
@common
def orders_cancel(options: Options, *, name: str, reason: str) -> None:
    """Ask for one order's cancel; the exchange decides, `orders show` tells."""
    label = order_of(options, name)["client_order_id"]
    if label is None:
        stop(exits.REFUSED, f"btcbot: refused: {name} was refused by the risk gate, never sent")
    request = {"command": "cancel", "client_order_id": label, "reason": reason}
    carry_out(options, request, f"cancel of {label} is asked for")


@orders.command("resolve")
@click.argument("name", metavar="ORDER_ID")
@click.option(
    "--as",
    "resolution",
    type=click.Choice(("absent", "closed")),
    required=True,
    help="It never existed on the exchange; or it did, and is over.",
)
@click.option("--reason", required=True, help="What you saw, and where: it is journaled.")
@click.option("--yes", is_flag=True, help="Do not ask for a typed confirmation.")
@common
def orders_resolve(options: Options, *, name: str, resolution: str, reason: str, yes: bool) -> None:
    """End the doubt about an UNKNOWN order by your word; nothing else can by hand.

    Look at the exchange's own pages first. Its lists are read once more, and what they show is
    stronger: exit 6 when they show the order, or one just like it. A wrong word costs money: the
    bot forgets the order's reservation, and may order again.
    """
    label = order_of(options, name)["client_order_id"]
    if label is None:
        stop(exits.REFUSED, f"btcbot: refused: {name} was refused by the risk gate, never sent")
    if not yes:
        confirm(resolution, about=label)
    request = {
        "command": "resolve", "client_order_id": label, "resolution": resolution, "reason": reason,
    }  # fmt: skip
    carry_out(options, request, f"{label} is resolved as {resolution}")


@click.command()
@click.argument("name", metavar="ORDER_ID")
@common
def trace(options: Options, *, name: str) -> None:
    """Tell one order's whole story, with the time from each step to the next.

    From the price it was decided on to its last fill. What the exchange did is told by the
    exchange's clock, all else by this machine's.
    """
    found = order_of(options, name)
    steps = steps_of(found, history(options).story(found["intent_id"]))
    rows = [
        (clock(step["at_ns"]), f"{step['after_ms']:.3f}", step["actor"], step["what"])
        for step in steps
    ]

    def table() -> None:
        click.echo(f"{found['pair']} {found['side']} {found['quantity']} at {found['limit_price']}")
        click.echo(f"client order id {found['client_order_id']}, exchange id {found['order_id']}")
        click.echo(f"intent {found['intent_id']} of {found['strategy']}, now {found['state']}")
        print_table(options, ("time UTC", "after ms", "actor", "what"), rows)

    options.show({"order": found, "steps": steps}, table)


def order_of(options: Options, name: str) -> Json:
    """Return the order of any of its three ids; ends with 4 when there is none."""
    found = history(options).order(name)
    if found is None:
        stop(exits.NOT_FOUND, f"btcbot: no order {name!r}; see `btcbot-ctl orders list --all`")
    return found


def steps_of(found: Json, facts: list[Json]) -> list[Json]:
    """Return what happened to an order, in order, each with the time since the step before."""
    intent: Json = next((f["fact"]["intent"] for f in facts if "intent" in f["fact"]), {})
    moments = [
        (intent.get("seen_ns"), "market_data", "the price it was decided on was confirmed"),
        (found["decided_ns"], "strategy", f"decided: {intent.get('reason', '')}"),
        (found["approved_ns"], "risk_gate", "approved"),
        *((fact["at_ns"], _teller(fact), _told(fact)) for fact in facts),
        *(
            (fact["fact"]["event_ns"], "exchange", f"executed trade {fact['fact']['trade_id']}")
            for fact in facts
            if fact["kind"] == "fill"
        ),
    ]
    known = sorted((m for m in moments if m[0]), key=lambda moment: moment[0])
    before = known[0][0] if known else 0
    steps = []
    for at_ns, actor, what in known:
        after_ms = round((at_ns - before) / 1e6, 3)
        steps.append({"at_ns": at_ns, "after_ms": after_ms, "actor": actor, "what": what})
        before = at_ns
    return steps


def _teller(fact: Json) -> str:
    return "strategy" if fact["kind"] == "decision" else "execution"


def _told(fact: Json) -> str:
    kept = {k: v for k, v in fact["fact"].items() if k not in UNTOLD and not k.endswith("_ns")}
    if fact["kind"] == "decision":
        kept["cuts"] = ", ".join(kept["cuts"])
    words = " ".join(f"{k}={v}" for k, v in kept.items() if v not in (None, "", False))
    return f"{fact['kind']} {words}".strip()


def clock(at_ns: int) -> str:
    """Return the time of day, to the microsecond."""
    moment = datetime.fromtimestamp(at_ns // 10**9, UTC)
    return f"{moment:%H:%M:%S}.{at_ns % 10**9 // 1000:06d}"
