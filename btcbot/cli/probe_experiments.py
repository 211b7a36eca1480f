"""The live experiments V1 to V12: what each asks the exchange, why, and what it proves.

Each returns (verdict, figures): "as assumed", "not as assumed" (then the design names what changes)
or "unclear". The evidence of every request is kept beside it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any, Final

from msgspec import Struct

from btcbot.btcturk.rest import Params
from btcbot.cli.probe_bench import ALL, BALANCES, OPEN, TRADES, Bench, decoded
from btcbot.domain.ids import OrderId

AS_ASSUMED, OTHERWISE, UNCLEAR = "as assumed", "not as assumed", "unclear"
TIMES: Final = 5
BURST: Final = 140  # Reads of balances: 120 a minute are allowed.
WEEK_MS: Final = 7 * 86_400_000
Found = tuple[str, dict[str, Any]]


class Experiment(Struct, frozen=True, kw_only=True):
    """One question to the exchange; without `run` it cannot be asked from here."""

    number: str
    what: str
    why: str
    sends: str  # To be read before it is confirmed; {terms} is the order.
    orders: int = 0  # How many orders it places, each cancelled and proven gone.
    run: Callable[[Bench], Awaitable[Found]] | None = None


async def _duplicate(bench: Bench) -> Found:
    await bench.placed(bench.labels[0])
    again = await bench.place(bench.labels[0])
    return AS_ASSUMED, {
        "second_status": again.status,
        "is_accepted_twice": len(set(bench.orders)) == 2,
        "note": "the design holds either way: btcbot never sends one label twice",
    }


async def _stamps(bench: Bench) -> Found:
    seen = {}
    for ahead_ms in (-4_000, -5_000, -6_000, 4_000, 6_000):
        found = await bench.get(BALANCES, headers=bench.stamp(ahead_ms))
        seen[str(ahead_ms)] = found.status
    wanted = {"-4000": 200, "-6000": 401, "4000": 200, "6000": 401}
    is_so = all(seen[name] == status for name, status in wanted.items())
    return (AS_ASSUMED if is_so else OTHERWISE), {"status_by_ahead_ms": seen}


async def _replay(bench: Bench) -> Found:
    headers = bench.stamp()
    pair = {"pairSymbol": bench.terms.pair}
    statuses = [
        (await bench.get(BALANCES, headers=headers)).status,
        (await bench.get(BALANCES, headers=headers)).status,
        (await bench.get(OPEN, pair, headers=headers)).status,
    ]
    if statuses[0] != 200:
        return UNCLEAR, {"statuses": statuses}
    return (AS_ASSUMED if statuses == [200] * 3 else OTHERWISE), {"statuses": statuses}


async def _visible(bench: Bench) -> Found:
    """Measure from the POST until each endpoint shows the order."""
    rows: list[dict[str, float]] = []
    for label in bench.labels:
        began = time.monotonic()
        number = await bench.placed(label)
        looks: dict[str, Callable[[], Awaitable[bool]]] = {
            "order": lambda number=number: _is_read(bench, number),  # type: ignore[misc]
            "open_orders": lambda label=label: _is_listed(bench, label),  # type: ignore[misc]
            "all_orders": lambda number=number: _is_in_all(bench, number),  # type: ignore[misc]
        }
        row: dict[str, float] = {}
        for name, look in looks.items():
            await bench.until(look)
            row[name] = round((time.monotonic() - began) * 1_000, 1)
        rows.append(row)
        await bench.cancel(number)
    longest_s = max(max(row.values()) for row in rows) / 1_000
    bound_s = bench.config.orders.absence_wait_s
    figures = {"ms_from_post": rows, "longest_s": longest_s, "absence_wait_s": bound_s}
    return (AS_ASSUMED if longest_s * 10 <= bound_s else OTHERWISE), figures


async def _labels(bench: Bench) -> Found:
    echoed = {}
    for label in bench.labels:
        found = await bench.place(label)
        data = decoded(found) if found.status == 200 else None
        told = data.get("newOrderClientId") if isinstance(data, dict) else None
        echoed[str(len(label))] = {"status": found.status, "is_echoed": told == label}
    is_so = echoed["35"]["is_echoed"]
    return (AS_ASSUMED if is_so else OTHERWISE), {"by_length": echoed}


async def _cancels(bench: Bench) -> Found:
    took = []
    for label in bench.labels:
        number = await bench.placed(label)
        began = time.monotonic()
        await bench.cancel(number)
        await bench.until(lambda number=number: _is_over(bench, number))
        took.append(round((time.monotonic() - began) * 1_000, 1))
    return (AS_ASSUMED if max(took) <= 10_000 else OTHERWISE), {"ms_from_delete_to_final": took}


async def _pages(bench: Bench) -> Found:
    first, second = [await bench.placed(label) for label in bench.labels]
    await asyncio.sleep(1)
    asked: Params = {"pairSymbol": bench.terms.pair, "orderId": first}
    ids = {
        "bare": _ids(await bench.get(ALL, {**asked, "limit": 1_000})),
        "page 1": _ids(await bench.get(ALL, {**asked, "limit": 1_000, "page": 1})),
        "page 2": _ids(await bench.get(ALL, {**asked, "limit": 1_000, "page": 2})),
        "limit 1": _ids(await bench.get(ALL, {**asked, "limit": 1})),
        "from the second": _ids(await bench.get(ALL, {**asked, "orderId": second})),
    }
    is_so = (
        set(ids["bare"]) >= {first, second}
        and ids["bare"] == ids["page 1"]
        and not ids["page 2"]
        and first not in ids["from the second"]
        and second in ids["from the second"]
    )
    return (AS_ASSUMED if is_so else OTHERWISE), {"ids": ids, "placed": [first, second]}


async def _trades(bench: Bench) -> Found:
    since_ms = bench.account.stamp_ms() - WEEK_MS
    reads = [decoded(await bench.get(TRADES, {"startDate": since_ms})) for _ in range(2)]
    if not all(isinstance(rows, list) and rows for rows in reads):
        return UNCLEAR, {"trades": 0, "note": "no trade in a week: come back when there are some"}
    first, again = ({row["id"]: row for row in rows} for rows in reads)
    is_so = len(first) == len(reads[0]) and first == again
    return (AS_ASSUMED if is_so else OTHERWISE), {
        "trades": len(first), "are_ids_unique": len(first) == len(reads[0]),
        "are_both_reads_equal": first == again,
    }  # fmt: skip


async def _locked(bench: Bench) -> Found:
    asset = "TRY" if bench.terms.pair.endswith("TRY") else "USDT"
    before = await _held(bench, asset)
    began = time.monotonic()
    await bench.placed(bench.labels[0])

    async def has_moved() -> bool:
        return await _held(bench, asset) - before >= bench.terms.notional

    await bench.until(has_moved)
    took_s = time.monotonic() - began
    figures = {"asset": asset, "s_from_post_to_locked": round(took_s, 3)}
    return (AS_ASSUMED if took_s <= 30 else OTHERWISE), figures


async def _burst(bench: Bench) -> Found:
    for number in range(BURST):
        found = await bench.get(BALANCES)
        if found.status == 429:
            has_wait = "retry-after" in found.headers
            figures = {"reads_before": number, "headers": found.headers, "body": found.body}
            return (AS_ASSUMED if has_wait else OTHERWISE), figures
    return OTHERWISE, {"reads_before": BURST, "note": "no 429 came"}


async def _deletes(bench: Bench) -> Found:
    number = await bench.placed(bench.labels[0])
    await bench.cancel(number)
    await bench.until(lambda: _is_over(bench, number))
    figures = {
        name: {"status": found.status, "body": found.body}
        for name, found in {
            "of a cancelled order": await bench.cancel(number),
            "of an unknown id": await bench.cancel(OrderId(1)),
        }.items()
    }
    is_so = figures["of an unknown id"]["status"] == 400
    return (AS_ASSUMED if is_so else OTHERWISE), figures


async def _is_read(bench: Bench, number: OrderId) -> bool:
    return await bench.order(number) is not None


async def _is_listed(bench: Bench, label: str) -> bool:
    return any(row.client_id == label for row in await bench.listed() or ())


async def _is_in_all(bench: Bench, number: OrderId) -> bool:
    asked: Params = {"pairSymbol": bench.terms.pair, "orderId": number}
    return number in _ids(await bench.get(ALL, asked))


async def _is_over(bench: Bench, number: OrderId) -> bool:
    row = await bench.order(number)
    return row is not None and row.is_terminal


async def _held(bench: Bench, asset: str) -> Decimal:
    rows = decoded(await bench.get(BALANCES)) or []
    return next((Decimal(row["locked"]) for row in rows if row["asset"] == asset), Decimal(0))


def _ids(found: Any) -> list[int]:  # noqa: ANN401
    rows = decoded(found)
    return [row["id"] for row in rows] if isinstance(rows, list) else []


_ONE: Final = "POST: {terms}; then DELETE"
EXPERIMENTS: Final = {
    row.number: row
    for row in (
        Experiment(
            number="V1", what="Is a second order with the same client id accepted?",
            why="so that everybody knows what a label is worth; the design holds either way",
            sends="POST twice with one label: {terms}; then DELETE of what was accepted",
            orders=1, run=_duplicate,
        ),
        Experiment(
            number="V2", what="Is a stamp that is 6 s off refused, and one of 4 s taken?",
            why="the window of a stamp is what proves that a lost order cannot come later",
            sends="five signed reads of balances, stamped -4, -5, -6, +4 and +6 s", run=_stamps,
        ),
        Experiment(
            number="V3", what="Does one signature open two reads, and another path?",
            why="if it does, captured headers are as good as the key for five seconds",
            sends="three signed reads with the same headers", run=_replay,
        ),
        Experiment(
            number="V4", what="How long until a new order is seen, by endpoint?",
            why="the absence bound has to be ten times the longest ever seen",
            sends=f"{TIMES} times, one after the other: {_ONE}", orders=TIMES, run=_visible,
        ),
        Experiment(
            number="V5", what="Is a client id of 35 characters echoed exactly? One of 50?",
            why="an order is found again by its label",
            sends="POST with a label of 35 and one of 50: {terms}; then DELETE", orders=2,
            run=_labels,
        ),
        Experiment(
            number="V6", what="How long from a cancel's 200 to the order's end?",
            why="sets the timers of cancels", sends=f"{TIMES} times: {_ONE}", orders=TIMES,
            run=_cancels,
        ),
        Experiment(
            number="V7", what="How do allOrders' pages and its orderId filter work?",
            why="a lost order is hunted through all of its pages",
            sends="two orders at once, each: {terms}; five reads of allOrders; then DELETE",
            orders=2, run=_pages,
        ),
        Experiment(
            number="V8", what="Are trade ids unique, and the same in two reads of a week?",
            why="fills are counted once by trade id", sends="two signed reads of own trades",
            run=_trades,
        ),
        Experiment(
            number="V9", what="Does `locked` move at once with an order?",
            why="balances are a witness of whether an order exists", sends=_ONE, orders=1,
            run=_locked,
        ),
        Experiment(
            number="V10", what="Does the exchange's own test host still exist?",
            why="it would be a second sandbox",
            sends="nothing from here: ask the exchange's support, and note the answer",
        ),
        Experiment(
            number="V11", what="What do a 429's body and header look like?",
            why="a 429 to an order stays UNKNOWN unless it is the documented one",
            sends=f"up to {BURST} signed reads of balances, until one is refused: private calls "
            "of this key may then be refused for a minute", run=_burst,
        ),
        Experiment(
            number="V12", what="What does a DELETE of an unknown or ended order answer?",
            why="a cancel's refusal has to be told from a cancel that was lost",
            sends=f"{_ONE} twice, and DELETE of order 1", orders=1, run=_deletes,
        ),
    )
}  # fmt: skip
