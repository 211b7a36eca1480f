"""The books folded from the facts of a home: the statement, its lines, and what sales closed."""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec import Struct

from btcbot.domain.facts import Fact, Fill, Recorded
from btcbot.domain.ids import Asset
from btcbot.domain.money import ZERO, text
from btcbot.ledger import lots, statement
from btcbot.ledger.lots import Closing, Lots, Method
from btcbot.ledger.pnl import day_of
from btcbot.ledger.statement import Line, Statement
from btcbot.pipeline.slots import OWNER
from btcbot.portfolio.netting import Transfer

ACCOUNT: Final = "account"  # The one book of everybody who trades on it.
PERSON: Final = "a person"


class Books(Struct, frozen=True):
    """Everything that was folded; `closings` in the order of their booking."""

    statement: Statement
    lots: Lots
    lines: tuple[Line, ...]
    closings: tuple[Closing, ...]

    def grouped(self, by: str) -> list[dict[str, Any]]:
        """Return the sums of the closings by pair, strategy or day, and what is held beside."""
        sums: dict[tuple[str, Asset], _Sum] = {}
        for one in self.closings:
            key = {"pair": one.pair, "strategy": one.book, "day": day_of(one.closed_ns)}[by]
            sums.setdefault((key, one.asset), _Sum()).add(one)
        return [
            {
                by: key, "asset": asset, "sales": one.sales, "proceeds": text(one.proceeds),
                "cost": text(one.cost), "charges": text(one.charges),
                "realized": text(one.realized), "sales_without_cost": one.unknown,
            }
            for (key, asset), one in sorted(sums.items())
        ]  # fmt: skip


class _Sum(Struct):
    sales: int = 0
    proceeds: Decimal = ZERO
    cost: Decimal = ZERO
    charges: Decimal = ZERO
    realized: Decimal = ZERO
    unknown: int = 0

    def add(self, one: Closing) -> None:
        self.sales += 1
        self.proceeds += one.proceeds
        self.charges += one.fee + one.tax
        self.cost += one.cost or ZERO
        self.realized += one.realized or ZERO
        self.unknown += one.cost is None


def read(
    facts: Iterable[tuple[int, Fact]], method: str = "", *, by_strategy: bool = False
) -> Books:
    """Fold `facts`, in order. `by_strategy`: each has lots of its own, and so have people."""
    kept, held = Statement(), Lots(Method(method or Method.FIFO))
    lines: list[Line] = []
    closings: list[Closing] = []
    for seq, fact in facts:
        lines += statement.take(kept, seq, fact)
        if isinstance(fact, Fill):
            closings += lots.fold(held, _book_of(kept, fact, by_strategy=by_strategy), fact)
        elif by_strategy and isinstance(fact, Recorded):
            closings += _moved(held, fact)
    return Books(kept, held, tuple(lines), tuple(closings))


def _book_of(kept: Statement, fill: Fill, *, by_strategy: bool) -> str:
    if not by_strategy:
        return ACCOUNT
    return PERSON if fill.intent_id is None else kept.strategies.get(fill.intent_id, PERSON)


def _moved(held: Lots, fact: Recorded) -> tuple[Closing, ...]:
    """Return what a transfer between two strategies closed; other records are none."""
    if (fact.owner, fact.kind) != (OWNER, "transfer"):
        return ()
    passed = msgspec.json.decode(fact.payload, type=Transfer)
    quote = Asset("TRY" if passed.pair.endswith("TRY") else "USDT")
    move = lots.Move(
        pair=passed.pair, asset=quote, seller=passed.seller, buyer=passed.buyer,
        quantity=passed.quantity, price=passed.price, at_ns=fact.at_ns,
    )  # fmt: skip
    return lots.move(held, move)


def ungrouped(closings: Iterable[Closing]) -> list[dict[str, Any]]:
    """Return each closing as a row."""
    return list(_rows(closings))


def _rows(closings: Iterable[Closing]) -> Iterator[dict[str, Any]]:
    for one in closings:
        yield {
            "pair": one.pair,
            "opened": None if one.opened_ns is None else day_of(one.opened_ns),
            "closed": day_of(one.closed_ns),
            "quantity": text(one.quantity),
            "cost": None if one.cost is None else text(one.cost),
            "proceeds": text(one.proceeds),
            "charges": text(one.fee + one.tax),
            "realized": None if one.realized is None else text(one.realized),
            "asset": one.asset,
        }
