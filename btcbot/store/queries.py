"""Rows for people and programs: exports, order lists, one order's story. Read-only."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from btcbot.domain.facts import Fact
from btcbot.domain.messages import OrderIntent
from btcbot.domain.money import text
from btcbot.store.database import open_reader
from btcbot.store.reader import Reader

Row = dict[str, Any]
FOREVER = 1 << 62
_intent = msgspec.msgpack.Decoder(OrderIntent).decode


class History:
    """Queries over one connection."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    @classmethod
    def of(cls, database: Path) -> "History":
        """Return the history in `database`, opened read-only. Raises StoreError without one."""
        return cls(Reader(open_reader(database)))

    def fills(self, since_ns: int = 0, until_ns: int = FOREVER) -> Iterator[Row]:
        rows = self._reader.rows(
            "SELECT f.*, i.strategy AS strategy FROM fills f LEFT JOIN intents i USING(intent_id)"
            " WHERE event_ns BETWEEN ? AND ? ORDER BY f.seq",
            (since_ns, until_ns),
        )
        for row in rows:
            yield {
                "trade_id": row["trade_id"],
                "order_id": row["order_id"],
                "client_order_id": row["client_order_id"],
                "intent_id": row["intent_id"],
                "pair": row["pair"],
                "side": row["side"],
                "quantity": row["quantity"],
                "price": row["price"],
                "fee": row["fee"],
                "tax": row["tax"],
                "fee_asset": row["fee_asset"],
                "ts_ns": row["event_ns"],
                "liquidity": row["liquidity"],
            }

    def orders(self, since_ns: int = 0, until_ns: int = FOREVER) -> Iterator[Row]:
        rows = self._reader.rows(
            "SELECT * FROM intents WHERE client_order_id IS NOT NULL"
            " AND created_ns BETWEEN ? AND ? ORDER BY created_ns, intent_id",
            (since_ns, until_ns),
        )
        return map(_order, rows)

    def live_orders(self) -> list[Row]:
        rows = self._reader.rows(
            "SELECT * FROM intents WHERE client_order_id IS NOT NULL AND state NOT IN"
            " ('REJECTED', 'NOT_SENT', 'ABSENT', 'CLOSED') ORDER BY created_ns"
        )
        return list(map(_order, rows))

    def intents(self, since_ns: int = 0, until_ns: int = FOREVER) -> Iterator[Row]:
        rows = self._reader.rows(
            "SELECT * FROM intents WHERE created_ns BETWEEN ? AND ? ORDER BY created_ns, intent_id",
            (since_ns, until_ns),
        )
        for row in rows:
            intent = _intent(row["intent"])
            yield {
                "intent_id": row["intent_id"],
                "strategy": row["strategy"],
                "slot": intent.slot,
                "pair": row["pair"],
                "side": row["side"],
                "quantity": text(intent.quantity),
                "limit_price": text(intent.limit_price),
                "reason": intent.reason,
                "verdict": "refused" if row["rule"] else "accepted",
                "rule": row["rule"],
                "detail": row["detail"] if row["rule"] else "",
                "client_order_id": row["client_order_id"],
                "decided_ns": row["decided_ns"],
                "judged_ns": row["created_ns"],
            }

    def events(self, since_ns: int = 0, until_ns: int = FOREVER) -> Iterator[Row]:
        for seq, epoch, kind, fact in self._reader.events(since_ns, until_ns):
            yield {"seq": seq, "epoch": epoch, "kind": kind, "at_ns": fact.at_ns} | _fields(fact)

    def order(self, name: str) -> Row | None:
        """Return the order with this client order id, exchange id or intent id."""
        number = int(name) if name.isascii() and name.isdigit() and len(name) < 19 else -1
        found = self._reader.rows(
            "SELECT * FROM intents WHERE client_order_id = ? OR intent_id = ? OR order_id = ?",
            (name, name, number),
        )
        return next(map(_order, found), None)

    def story(self, intent_id: str) -> list[Row]:
        """Return every fact of one intent, oldest first."""
        return [
            {"seq": seq, "kind": kind, "at_ns": fact.at_ns, "fact": _fields(fact)}
            for seq, _, kind, fact in self._reader.events(0, FOREVER)
            if intent_id
            in (
                getattr(fact, "intent_id", None),
                getattr(getattr(fact, "intent", 0), "intent_id", 0),
            )
        ]


def _order(row: Row) -> Row:
    intent, filled = _intent(row["intent"]), Decimal(row["filled"])
    return {
        "client_order_id": row["client_order_id"],
        "order_id": row["order_id"],
        "intent_id": row["intent_id"],
        "strategy": row["strategy"],
        "pair": row["pair"],
        "side": row["side"],
        "method": "limit",
        "quantity": text(intent.quantity),
        "limit_price": text(intent.limit_price),
        "state": row["state"],
        "filled": text(filled),
        "average_price": text(Decimal(row["cost"]) / filled) if filled else None,
        "reason": row["detail"] or intent.reason,
        "created_ns": row["created_ns"],
        "closed_ns": row["closed_ns"],
        "decided_ns": row["decided_ns"],
        "approved_ns": row["approved_ns"],
        "acked_ns": row["acked_ns"],
        "expires_ns": intent.expires_ns,
        "cancel_by": row["cancel_by"],
        "cancel_reason": row["cancel_reason"],
    }


def _fields(fact: Fact) -> Row:
    """Return a fact's fields as plain values; numbers stay exact as strings."""
    tree: Row = msgspec.to_builtins(fact, str_keys=True)
    tree.pop("at_ns", None)
    tree.pop("type", None)
    return tree
