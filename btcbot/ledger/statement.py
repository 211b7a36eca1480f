"""The ledger as a person reads it: balances by account, and ours against the exchange's.

A pure fold of facts. It checks itself: every fact's lines sum to zero in each asset, and no trade
is booked twice; what does not hold is a fault with the fact's number, and nothing is concluded.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from msgspec import Struct, field

from btcbot.domain.facts import (
    Balances,
    BalancesExplained,
    Discrepancy,
    Fact,
    Fill,
    Opening,
    OrderSubmitting,
    Posting,
    Recorded,
)
from btcbot.domain.ids import Asset, IntentId, OrderId, TradeId
from btcbot.domain.money import ZERO, text
from btcbot.domain.words import Side

ASSET = "asset"
KINDS = ("opening", "fill", "balances_explained", "balances", "discrepancy", "order_submitting",
         "recorded")  # fmt: skip


class Line(Struct, frozen=True, kw_only=True):
    """One posting with where it came from."""

    seq: int
    at_ns: int
    kind: str  # "opening", "fill" or "explained".
    account: str
    asset: Asset
    amount: Decimal
    trade_id: TradeId | None
    order_id: OrderId | None
    note: str


class Statement(Struct):
    """Owned, changed in place by `take`."""

    totals: dict[tuple[Asset, str], Decimal] = field(default_factory=dict)
    stated: dict[Asset, Decimal] = field(default_factory=dict)  # By the exchange, last.
    stated_ns: int = 0
    newer: list[dict[Asset, Decimal]] = field(default_factory=list)  # What each fill since moved.
    strategies: dict[IntentId, str] = field(default_factory=dict)
    fills: int = 0
    persons_fills: int = 0
    explained: list[tuple[int, str, str, dict[Asset, Decimal]]] = field(default_factory=list)
    discrepancies: list[tuple[int, str]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    seen: set[tuple[TradeId, OrderId, Side]] = field(default_factory=set)


def take(statement: Statement, seq: int, fact: Fact) -> tuple[Line, ...]:
    """Fold one fact; return its lines."""
    match fact:
        case OrderSubmitting():
            statement.strategies[fact.intent.intent_id] = fact.intent.strategy
            return ()
        case Opening():
            _state(statement, fact)
            return _post(statement, seq, fact, "opening", fact.postings, "what was there")
        case Balances():
            _state(statement, fact)
            return ()
        case BalancesExplained():
            sums = {p.asset: Decimal(p.amount) for p in fact.postings if p.account == ASSET}
            statement.explained.append((fact.at_ns, fact.by, fact.reason, sums))
            return _post(statement, seq, fact, "explained", fact.postings, fact.reason)
        case Discrepancy():
            statement.discrepancies.append((fact.at_ns, f"{fact.subject}: {fact.detail}"))
            return ()
        case Fill():
            return _fill(statement, seq, fact)
        case Recorded():
            return ()
        case _:
            raise AssertionError(f"no part of a statement: {fact}")


def _fill(statement: Statement, seq: int, fill: Fill) -> tuple[Line, ...]:
    key = fill.trade_id, fill.order_id, fill.side
    if key in statement.seen:
        statement.faults.append(f"event {seq}: trade {fill.trade_id} is booked twice")
    statement.seen.add(key)
    statement.fills += 1
    statement.persons_fills += fill.intent_id is None
    statement.newer.append(
        {p.asset: Decimal(p.amount) for p in fill.postings if p.account == ASSET}
    )
    note = f"{fill.side.value} {text(fill.quantity)} {fill.pair} at {text(fill.price)}"
    return _post(statement, seq, fill, "fill", fill.postings, note)


def _state(statement: Statement, stated: Balances | Opening) -> None:
    statement.stated = {row.asset: Decimal(row.total) for row in stated.balances}
    statement.stated_ns, statement.newer = stated.at_ns, []


def _post(
    statement: Statement, seq: int, fact: Fact, kind: str, postings: Iterable[Posting], note: str
) -> tuple[Line, ...]:
    sums: dict[Asset, Decimal] = {}
    is_fill = isinstance(fact, Fill)
    lines = []
    for line in postings:
        key = line.asset, line.account
        statement.totals[key] = statement.totals.get(key, ZERO) + line.amount
        sums[line.asset] = sums.get(line.asset, ZERO) + line.amount
        lines.append(
            Line(
                seq=seq, at_ns=fact.event_ns if isinstance(fact, Fill) else fact.at_ns, kind=kind,
                account=line.account, asset=line.asset, amount=Decimal(line.amount),
                trade_id=fact.trade_id if isinstance(fact, Fill) else None,
                order_id=fact.order_id if isinstance(fact, Fill) else None, note=note,
            )
        )  # fmt: skip
    if is_fill and not lines:
        statement.faults.append(f"event {seq}: a fill without postings")
    for asset, left in sums.items():
        if left:
            statement.faults.append(f"event {seq}: {kind} is off by {text(left)} {asset}")
    return tuple(lines)


class Difference(Struct, frozen=True, kw_only=True):
    """One asset: ours, the exchange's, and what lies between."""

    asset: Asset
    ledger: Decimal
    exchange: Decimal
    newer: Decimal = ZERO  # What fills moved that the exchange's word is older than.

    @property
    def beyond(self) -> Decimal:
        """What the exchange has and we cannot explain; below zero: we have too much."""
        return self.exchange + self.newer - self.ledger


def reconciled(statement: Statement) -> list[Difference]:
    """Return each asset, ours against what the exchange stated last, by name.

    It may have stated that before it knew the last of our fills: if all that differs is to the last
    unit what the last few moved, in every asset, they explain it.
    """
    newer: dict[Asset, Decimal] = {}
    first = rows = _against(statement, newer)
    for moved in reversed(statement.newer):
        if not any(row.beyond for row in rows):
            break
        newer = {a: newer.get(a, ZERO) + moved.get(a, ZERO) for a in (*newer, *moved)}
        rows = _against(statement, newer)
    return first if any(row.beyond for row in rows) else rows


def _against(statement: Statement, newer: Mapping[Asset, Decimal]) -> list[Difference]:
    ours = owned(statement)
    return [
        Difference(
            asset=asset,
            ledger=ours.get(asset, ZERO),
            exchange=statement.stated.get(asset, ZERO),
            newer=newer.get(asset, ZERO),
        )
        for asset in sorted({*ours, *statement.stated})
    ]


def owned(statement: Statement) -> Mapping[Asset, Decimal]:
    """Return what the ledger says is held of each asset."""
    return {
        asset: amount for (asset, account), amount in statement.totals.items() if account == ASSET
    }
