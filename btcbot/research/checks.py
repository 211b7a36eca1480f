"""What must hold in a run before anything of it is shown. Pure; every problem is one sentence."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from btcbot.domain.money import ZERO, half_up, text
from btcbot.domain.words import Side
from btcbot.research import fingerprint
from btcbot.research.lines import FillLine, OrderLine, Run
from btcbot.research.trading import flows

SHOWN_MAX: Final = 20
PRICE_SCALE: Final = 16  # Of an average price, as exports show it.
CENTS: Final = 2


def problems(run: Run) -> list[str]:
    """Return what does not add up, at most twenty; empty: nothing was found."""
    found = []
    for problem in _all(run):
        found.append(problem)
        if len(found) == SHOWN_MAX:
            break
    return found


def _all(run: Run) -> Iterator[str]:
    yield from _keys(run)
    orders = {line.client_order_id: line for line in run.orders}
    executed: dict[str, tuple[Decimal, Decimal]] = {}
    for line in run.fills:
        yield from _fill(line, orders.get(line.client_order_id or ""))
        if line.client_order_id is not None:
            filled, cost = executed.get(line.client_order_id, (ZERO, ZERO))
            executed[line.client_order_id] = filled + line.quantity, cost + line.notional
    for order in run.orders:
        if _is_whole(order, run.span_ns):
            yield from _order(order, *executed.get(order.client_order_id, (ZERO, ZERO)))
    yield from _balances(run)
    yield from _equity(run)
    if "fingerprint" in run.identity:
        yield from _stated(run)


def _is_whole(order: OrderLine, span_ns: tuple[int, int] | None) -> bool:
    """Return whether all fills of an order are in the run."""
    if span_ns is None:
        return True
    since_ns, until_ns = span_ns
    return (
        since_ns <= order.created_ns and order.closed_ns is not None and order.closed_ns < until_ns
    )


def _keys(run: Run) -> Iterator[str]:
    """Name what is there twice: it would be counted twice."""
    seen: set[str] = set()
    keys = [(f"order {line.client_order_id}", "") for line in run.orders]
    keys += [(f"trade {line.trade_id}", f" {line.order_id} {line.side}") for line in run.fills]
    for name, rest in keys:
        if name + rest in seen:
            yield f"{name} is there twice"
        seen.add(name + rest)


def _fill(line: FillLine, order: OrderLine | None) -> Iterator[str]:
    name = f"trade {line.trade_id}"
    if line.quantity <= 0 or line.price <= 0:
        yield f"{name}: {text(line.quantity)} at {text(line.price)}; both are above 0"
    if line.fee < 0 or line.tax < 0:
        yield f"{name}: a fee of {text(line.fee)} and a tax of {text(line.tax)}; costs are >= 0"
    if not line.pair.endswith(line.fee_asset):
        yield f"{name}: a fee in {line.fee_asset}, which {line.pair} is not quoted in"
    if line.intent_id is None:
        return  # A person's, and no order of ours.
    if order is None:
        yield f"{name}: its order {line.client_order_id} is not there"
        return
    if (line.pair, line.side, line.intent_id) != (order.pair, order.side, order.intent_id):
        yield f"{name}: a {line.side} of {line.pair}; its order is a {order.side} of {order.pair}"
    worse = line.price - order.limit_price
    if order.method == "limit" and (worse > 0 if line.side is Side.BUY else worse < 0):
        yield f"{name}: a {line.side} at {text(line.price)}; the limit is {text(order.limit_price)}"


def _order(order: OrderLine, filled: Decimal, cost: Decimal) -> Iterator[str]:
    name = f"order {order.client_order_id}"
    if filled != order.filled:
        yield f"{name}: {text(order.filled)} is filled, its fills are {text(filled)}"
    elif filled and order.average_price != half_up(cost / filled, PRICE_SCALE):
        mean = text(half_up(cost / filled, PRICE_SCALE))
        yield f"{name}: an average price of {order.average_price}; its fills make it {mean}"
    if order.method == "limit" and filled > order.quantity:
        yield f"{name}: {text(filled)} is filled of {text(order.quantity)}"
    if order.closed_ns is not None and order.closed_ns < order.created_ns:
        yield f"{name}: over before it was sent"


def _balances(run: Run) -> Iterator[str]:
    moved = flows(run.fills)
    for asset in sorted({*run.balances_first, *run.balances_last, *run.moved_in, *moved}):
        first = run.balances_first.get(asset, ZERO) + run.moved_in.get(asset, ZERO)
        expected, last = first + moved.get(asset, ZERO), run.balances_last.get(asset, ZERO)
        if last != expected:
            said = f"{text(last)} {asset} at the end; {text(first)} and the fills make it"
            yield f"{said} {text(expected)}"
        if last < 0:
            yield f"{text(last)} {asset} at the end: less than nothing"


def _equity(run: Run) -> Iterator[str]:
    """Hold each drawdown to the fall from the true peak; time does not go back."""
    peak, before_ns = ZERO, -1
    for line in run.equity:
        if line.at_ns <= before_ns:
            yield f"equity at {line.at_ns}: not after {before_ns}"
        before_ns = line.at_ns
        if line.equity is None:
            continue
        peak = max(peak, line.equity)
        if line.drawdown != peak - line.equity:
            said = f"equity at {line.at_ns}: a drawdown of {text(line.drawdown)}; from its peak of"
            yield f"{said} {text(peak)} it is {text(peak - line.equity)}"


def _stated(run: Run) -> Iterator[str]:
    """Hold a summary to the rows it sums up, and both to the fingerprint."""
    known = [line.equity for line in run.equity if line.equity is not None]
    falls = [line.drawdown for line in run.equity]
    figures: dict[str, object] = {
        "orders": len(run.orders),
        "fills": len(run.fills),
        "equity_first": _cents(known[0]) if known else None,
        "equity_last": _cents(known[-1]) if known else None,
        "drawdown_max": _cents(max(falls, default=ZERO)),
        "fingerprint": fingerprint.of(run).whole,
    }
    for name, found in figures.items():
        if run.identity.get(name) != found:
            yield f"summary: {name} = {run.identity.get(name)}; the rows make it {found}"
    for row in run.identity.get("pairs", ()):
        ours = [line for line in run.fills if line.pair == row["pair"]]
        sums = {
            "turnover": sum((line.notional for line in ours), start=ZERO),
            "fees": sum((line.charges for line in ours), start=ZERO),
        }
        for name, amount in sums.items():
            if row[name] != _cents(amount):
                yield f"summary: {name} of {row['pair']} = {row[name]}; fills: {_cents(amount)}"


def _cents(value: Decimal) -> str:
    return text(half_up(value, CENTS))
