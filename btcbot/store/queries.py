"""Rows for people and programs: exports, order lists, one order's story. Read-only.

Long lists are read a page at a time: a reader that stays inside one transaction would keep the
write-ahead log from ever being emptied. Amounts are canonical decimal strings.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec

from btcbot.domain.adaptation import Adaptation
from btcbot.domain.agent import AGENT_MODE, AGENT_OWNER, ModeOrdered
from btcbot.domain.decisions import DecisionRecord
from btcbot.domain.facts import FACTS, AgentDecided, Fact, Recorded
from btcbot.domain.messages import OrderIntent
from btcbot.domain.money import half_up, text
from btcbot.ledger import history
from btcbot.store.database import StoreError, open_reader
from btcbot.store.reader import Reader

Row = dict[str, Any]
FOREVER: Final = 1 << 62
PAGE: Final = 1_000
PAGE_OF_DECISIONS: Final = 100  # Up to 40 KiB each.
INT64_MAX: Final = (1 << 63) - 1
OVER: Final = "('REJECTED', 'NOT_SENT', 'ABSENT', 'CLOSED')"
_FILL_COLUMNS: Final = (
    "trade_id", "order_id", "client_order_id", "intent_id", "pair", "side", "quantity", "price",
    "fee", "tax", "fee_asset", "ts_ns", "liquidity",
)  # fmt: skip
_DECISION: Final = ("strategy", "decision")
_ADAPTATION: Final = ("strategy", "adaptation")
_intent = msgspec.msgpack.Decoder(OrderIntent).decode
_decided = msgspec.msgpack.Decoder(AgentDecided).decode
_DECODERS = {
    str(kind.__struct_config__.tag): msgspec.msgpack.Decoder(kind).decode for kind in FACTS
}


class History:
    """Queries over a read-only connection to `database`. Raises StoreError when there is none.

    Times are UTC nanoseconds; `since_ns` is included, `until_ns` is not.
    """

    def __init__(self, database: Path | Reader) -> None:
        """`database`: a file, or the reader of a writer (a backtest's is in memory)."""
        self._reader = database if isinstance(database, Reader) else Reader(open_reader(database))

    def one_moment(self) -> AbstractContextManager[None]:
        """Let every query within see the same moment, for as long as somebody may wait."""
        return self._reader.one_moment()

    def head(self) -> tuple[int, str]:
        """Return the newest fact's number and hash, which is over all facts; (0, "") for none."""
        rows = self._reader.rows(
            "SELECT seq, lower(hex(hash)) AS hash FROM events ORDER BY seq DESC LIMIT 1"
        )
        return next(((row["seq"], row["hash"]) for row in rows), (0, ""))

    def fills(self, since_ns: int = 0, until_ns: int = FOREVER) -> Iterator[Row]:
        """Yield every fill of the account in the order it was booked."""
        query = (
            "SELECT *, event_ns AS ts_ns FROM fills WHERE seq > ? AND event_ns >= ?"
            " AND event_ns < ? ORDER BY seq LIMIT ?"
        )
        after = 0
        while rows := list(self._reader.rows(query, (after, since_ns, until_ns, PAGE))):
            after = rows[-1]["seq"]
            yield from map(_fill, rows)

    def recent_fills(self, limit: int) -> list[Row]:
        """Return the newest fills, newest first."""
        query = "SELECT *, event_ns AS ts_ns FROM fills ORDER BY seq DESC LIMIT ?"
        return list(map(_fill, self._reader.rows(query, (limit,))))

    def orders(self, since_ns: int = 0, until_ns: int = FOREVER) -> Iterator[Row]:
        """Yield every order, oldest first."""
        for row in self._judged("client_order_id IS NOT NULL", since_ns, until_ns):
            yield _order(row)

    def live_orders(self) -> list[Row]:
        """Return the orders that are not proven over."""
        query = (
            "SELECT * FROM intents WHERE client_order_id IS NOT NULL"  # noqa: S608 - our words
            f" AND state NOT IN {OVER} ORDER BY created_ns"
        )
        return list(map(_order, self._reader.rows(query)))

    def intents(self, since_ns: int = 0, until_ns: int = FOREVER) -> Iterator[Row]:
        """Yield every intent with its verdict, oldest first."""
        return map(_verdict, self._judged("1", since_ns, until_ns))

    def recent_refusals(self, limit: int) -> list[Row]:
        """Return the newest intents that were refused, newest first."""
        query = "SELECT * FROM intents WHERE rule IS NOT NULL ORDER BY created_ns DESC LIMIT ?"
        return list(map(_verdict, self._reader.rows(query, (limit,))))

    def events(self, since_ns: int = 0, until_ns: int = FOREVER) -> Iterator[Row]:
        """Yield the log of facts, in order."""
        query = (
            "SELECT seq, epoch, kind, payload FROM events WHERE seq > ? AND at_ns >= ?"
            " AND at_ns < ? ORDER BY seq LIMIT ?"
        )
        after = 0
        while rows := list(self._reader.rows(query, (after, since_ns, until_ns, PAGE))):
            after = rows[-1]["seq"]
            yield from map(_event, rows)

    def facts(self, kinds: tuple[str, ...]) -> Iterator[tuple[int, Fact]]:
        """Yield (sequence, fact) of every fact of `kinds`, in order."""
        after = 0
        while True:
            found, after = self._reader.facts_after(after, kinds, PAGE)
            if not found:
                return
            yield from found

    def decisions(self, since_ns: int = 0, until_ns: int = FOREVER) -> Iterator[Row]:
        """Yield each recorded decision of the strategies, oldest first, by when it was decided."""
        query = (
            "SELECT seq, epoch, kind, payload FROM events WHERE seq > ? AND kind = 'recorded'"
            " ORDER BY seq LIMIT ?"
        )
        after = 0
        while rows := list(self._reader.rows(query, (after, PAGE))):
            after = rows[-1]["seq"]
            for row in rows:
                found = _decision(_DECODERS["recorded"](row["payload"]))
                if found is not None and since_ns <= found["at_ns"] < until_ns:
                    yield found

    def adaptations(self, since_ns: int = 0, until_ns: int = FOREVER) -> Iterator[Row]:
        """Yield each look of a strategy at its own parameters, oldest first, by when it was."""
        for _, fact in self.facts(("recorded",)):
            if isinstance(fact, Recorded) and (fact.owner, fact.kind) == _ADAPTATION:
                found = msgspec.json.decode(fact.payload, type=Adaptation)
                if since_ns <= found.at_ns < until_ns:
                    yield _plain(msgspec.to_builtins(found, builtin_types=(Decimal,)))

    def equity(self, since_ns: int = 0, until_ns: int = FOREVER) -> Iterator[Row]:
        """Yield where the account stood every five minutes, oldest first."""
        return self._course(history.EQUITY, since_ns, until_ns)

    def days(self, since_ns: int = 0, until_ns: int = FOREVER) -> Iterator[Row]:
        """Yield how each day ended that accounting lived through, oldest first."""
        return self._course(history.DIGEST, since_ns, until_ns)

    def _course(self, kind: str, since_ns: int, until_ns: int) -> Iterator[Row]:
        for _, fact in self.facts(("recorded",)):
            if isinstance(fact, Recorded) and (fact.owner, fact.kind) == (history.OWNER, kind):
                point = history.recorded(fact.payload)
                if since_ns <= point.at_ns < until_ns:
                    yield _point(point)

    def agent_decisions(self, since_ns: int = 0, until_ns: int = FOREVER) -> Iterator[AgentDecided]:
        """Yield the agent's decisions by when they were recorded, oldest first."""
        query = (
            "SELECT seq, payload FROM events WHERE kind = 'agent_decided' AND seq > ?"
            " AND at_ns >= ? AND at_ns < ? ORDER BY seq LIMIT ?"
        )
        after = 0
        while rows := list(
            self._reader.rows(query, (after, since_ns, until_ns, PAGE_OF_DECISIONS))
        ):
            after = rows[-1]["seq"]
            yield from (_decided(row["payload"]) for row in rows)

    def recent_agent_decisions(self, limit: int) -> list[AgentDecided]:
        """Return the agent's newest decisions, newest first."""
        query = "SELECT payload FROM events WHERE kind = 'agent_decided' ORDER BY seq DESC LIMIT ?"
        return [_decided(row["payload"]) for row in self._reader.rows(query, (limit,))]

    def agent_order(self) -> tuple[ModeOrdered, int] | None:
        """Return the mode a person ordered last and when; None: nobody did."""
        query = "SELECT payload FROM latest WHERE kind = ? AND key = ?"
        found = self._reader.rows(query, (f"record/{AGENT_OWNER}/{AGENT_MODE}", AGENT_MODE))
        for row in found:
            fact = msgspec.msgpack.decode(row["payload"], type=Recorded)
            return msgspec.json.decode(fact.payload, type=ModeOrdered), fact.at_ns
        return None

    def order(self, name: str) -> Row | None:
        """Return the order or refused intent of this client order id, exchange id or intent id."""
        is_number = name.isascii() and name.isdigit() and int(name) <= INT64_MAX
        rows = self._reader.rows(
            "SELECT * FROM intents WHERE client_order_id = ? OR intent_id = ? OR order_id = ?",
            (name, name, int(name) if is_number else None),
        )
        return next(map(_order, rows), None)

    def story(self, intent_id: str) -> list[Row]:
        """Return every fact of one intent, oldest first."""
        # The id stands in the payload as it is: SQLite finds it without anybody decoding the log.
        rows = self._reader.rows(
            "SELECT seq, epoch, kind, payload FROM events"
            " WHERE instr(payload, CAST(? AS BLOB)) > 0 ORDER BY seq",
            (intent_id,),
        )
        told = (_part_of_story(row, intent_id) for row in rows)
        return [row for row in told if row is not None]

    def is_kill_complete(self) -> bool:
        """Return whether the bot is killed, or HALTED, and every order of it is proven closed."""
        facts, _ = self._reader.facts_after(
            self._number(
                "SELECT coalesce(max(seq), 1) - 1 FROM latest WHERE kind = 'trading_state'"
            ),
            ("trading_state_changed", "kill_completed"),
            2,
        )
        kinds = [type(fact).__name__ for _, fact in facts]
        state = getattr(facts[0][1], "state", "") if facts else ""
        if state == "HALTED":  # A kill changes nothing there: everything is being cancelled.
            return not self.live_orders()
        return state == "KILLED" and "KillCompleted" in kinds

    def _judged(self, condition: str, since_ns: int, until_ns: int) -> Iterator[Row]:
        query = (
            f"SELECT * FROM intents WHERE {condition} AND (created_ns, intent_id) > (?, ?)"  # noqa: S608
            " AND created_ns < ? ORDER BY created_ns, intent_id LIMIT ?"
        )
        after: tuple[int, str] = (since_ns, "")
        while rows := list(self._reader.rows(query, (*after, until_ns, PAGE))):
            after = (rows[-1]["created_ns"], rows[-1]["intent_id"])
            yield from rows

    def _number(self, query: str) -> int:
        [row] = self._reader.rows(query)
        return int(next(iter(row.values())))


def facts_in(database: Path) -> int:
    """Return how many facts `database` has; 0: none can be read, whatever the reason."""
    try:
        return History(database).head()[0]
    except (StoreError, apsw.Error):
        return 0


def _point(point: history.Point) -> Row:
    found = msgspec.structs.asdict(point)
    return {
        name: text(value) if isinstance(value, Decimal) else value for name, value in found.items()
    }


def _fill(row: Row) -> Row:
    return {name: row[name] for name in _FILL_COLUMNS}


def _order(row: Row) -> Row:
    intent, filled = _intent(row["intent"]), Decimal(row["filled"])
    average = Decimal(row["cost"]) / filled if filled else None
    return {
        "client_order_id": row["client_order_id"],
        "order_id": row["order_id"],
        "intent_id": row["intent_id"],
        "strategy": row["strategy"],
        "pair": row["pair"],
        "side": row["side"],
        "method": "market" if intent.wants_market else "limit",
        "quantity": text(intent.quantity),
        "limit_price": text(intent.limit_price),
        "state": row["state"],
        "filled": text(filled),
        "average_price": None if average is None else text(half_up(average, 16)),
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


def _verdict(row: Row) -> Row:
    intent = _intent(row["intent"])
    return {
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


def _event(row: Row) -> Row:
    fact: Fact = _DECODERS[row["kind"]](row["payload"])
    fields = _plain(msgspec.to_builtins(fact, builtin_types=(Decimal,)))
    at_ns = fields.pop("at_ns")
    fields.pop("type")
    head = {"seq": row["seq"], "epoch": row["epoch"], "kind": row["kind"], "at_ns": at_ns}
    return {**head, "fact": fields}


def _part_of_story(row: Row, intent_id: str) -> Row | None:
    """Return what a row tells of an intent; None: it only names it."""
    event = _event(row)
    if row["kind"] != "recorded":
        return event if _is_about(event["fact"], intent_id) else None
    found = _decision(_DECODERS["recorded"](row["payload"]))
    lines = [] if found is None else [x for x in found["lines"] if x["intent_id"] == intent_id]
    if found is None or not lines:
        return None
    head = {name: found[name] for name in ("decision", "trigger", "inputs", "policy")}
    line = {**lines[0], "cuts": [f"{c['why']}: {c['detail']}" for c in lines[0]["cuts"]]}
    return {**event, "kind": "decision", "at_ns": found["at_ns"], "fact": {**head, **line}}


def _decision(fact: Fact) -> Row | None:
    """Return the decision that a record holds; None: it holds something else."""
    if not isinstance(fact, Recorded) or (fact.owner, fact.kind) != _DECISION:
        return None
    record = msgspec.json.decode(fact.payload, type=DecisionRecord)
    fields = _plain(msgspec.to_builtins(record, builtin_types=(Decimal,)))
    fields.pop("type")
    return dict(fields)


def _is_about(fact: Row, intent_id: str) -> bool:
    intent = fact.get("intent")
    named = intent["intent_id"] if isinstance(intent, dict) else fact.get("intent_id")
    return bool(named == intent_id)


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever a fact holds
    """Return `value` with every decimal as its canonical text."""
    if isinstance(value, Decimal):
        return text(value)
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value
