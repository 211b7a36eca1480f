"""Reading what was written: recovery, catch-up of hearers, and rows for people.

Works on the writer's own connection (recovery, catch-up) and on read-only ones (CLI, dashboard).
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, TypeVar

import apsw
import msgspec

from btcbot.domain.facts import (
    FACTS,
    Balances,
    EpochStarted,
    Fact,
    Opening,
    PauseChanged,
    TradingStateChanged,
)
from btcbot.domain.ids import Asset, ClientOrderId, CommandId, IntentId
from btcbot.domain.messages import OrderIntent
from btcbot.domain.words import OrderState, Rule, Side
from btcbot.orders.recovery import Recovered
from btcbot.orders.state import FillContent, FillKey, Order

REMEMBERED = 10_000
_BY_TAG = {str(kind.__struct_config__.tag): kind for kind in FACTS}
_DECODERS = {tag: msgspec.msgpack.Decoder(kind).decode for tag, kind in _BY_TAG.items()}
_intent = msgspec.msgpack.Decoder(OrderIntent).decode

F = TypeVar("F", bound=Fact)


class Reader:
    """Queries over one connection."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._execute = connection.execute

    def facts_after(
        self, after: int, tags: tuple[str, ...], limit: int
    ) -> tuple[list[tuple[int, Fact]], int]:
        """Return facts with one of `tags` above `after`, and the sequence they are complete to."""
        marks = ",".join("?" * len(tags))
        rows: list[Any] = self._execute(
            f"SELECT seq, kind, payload FROM events WHERE seq > ? AND kind IN ({marks})"  # noqa: S608
            " ORDER BY seq LIMIT ?",
            (after, *tags, limit),
        ).fetchall()
        head = self._number("SELECT coalesce(max(seq), 0) FROM events")
        found = [(seq, _DECODERS[kind](payload)) for seq, kind, payload in rows]
        through = found[-1][0] if len(found) == limit else max(head, after)
        return found, through

    def events(self, since_ns: int, until_ns: int) -> Iterator[tuple[int, int, str, Fact]]:
        """Yield (sequence, epoch, kind, fact) of the fact log, in order."""
        rows = self._execute(
            "SELECT seq, epoch, kind, payload FROM events WHERE at_ns BETWEEN ? AND ? ORDER BY seq",
            (since_ns, until_ns),
        )
        for seq, epoch, kind, payload in rows:
            yield seq, epoch, kind, _DECODERS[kind](payload)

    def rows(self, query: str, values: tuple[object, ...] = ()) -> Iterator[dict[str, Any]]:
        """Yield each row of a SELECT as a dict of column name to value."""
        cursor = self._execute(query, values)
        for row in cursor:
            names = [column[0] for column in cursor.get_description()]
            yield dict(zip(names, row, strict=True))

    def recover(self) -> Recovered:
        """Return what execution must know to go on."""
        epoch = self._one("epoch", EpochStarted)
        return Recovered(
            epoch=epoch.epoch if epoch else 0,
            instance=epoch.instance if epoch else "",
            head=self._number("SELECT coalesce(max(seq), 0) FROM events"),
            live=tuple(self._live()),
            verdicts=self._verdicts(),
            commands=self._commands(),
            trading=self._one("trading_state", TradingStateChanged),
            trading_seq=self._number(
                "SELECT coalesce(max(seq), 0) FROM latest WHERE kind = 'trading_state'"
            ),
            is_killing=bool(
                self._number(
                    "SELECT (SELECT coalesce(max(seq), 0) FROM latest WHERE kind = 'trading_state')"
                    " > (SELECT coalesce(max(seq), 0) FROM events WHERE kind = 'kill_completed')"
                )
            ),
            pauses=tuple(self._pauses()),
            opening=self._one("opening", Opening),
            balances=self._one("balances", Balances),
            ledger=self._ledger(),
            fills=self._fills(),
        )

    def _one(self, kind: str, fact: type[F]) -> F | None:
        rows: list[Any] = self._execute(
            "SELECT payload FROM latest WHERE kind = ?", (kind,)
        ).fetchall()
        return msgspec.msgpack.decode(rows[0][0], type=fact) if rows else None

    def _number(self, query: str) -> int:
        rows: list[Any] = self._execute(query).fetchall()
        return int(rows[0][0])

    def _live(self) -> Iterator[Order]:
        rows = self._execute(
            "SELECT intent, state, client_order_id, stamp_ms, id_floor, reserved, order_id,"
            " executed, filled, cost, cancel_by, cancel_reason, created_ns FROM intents"
            " WHERE state NOT IN ('REFUSED', 'REJECTED', 'NOT_SENT', 'ABSENT', 'CLOSED')"
            " ORDER BY seq"
        )
        for row in rows:
            yield Order(
                intent=_intent(row[0]),
                state=OrderState(row[1]),
                client_order_id=ClientOrderId(row[2]),
                stamp_ms=row[3],
                id_floor=row[4],
                reserved=Decimal(row[5]),
                order_id=row[6],
                executed=None if row[7] is None else Decimal(row[7]),
                filled=Decimal(row[8]),
                cost=Decimal(row[9]),
                cancel_by=row[10],
                cancel_reason=row[11] or "",
                created_ns=row[12],
            )

    def _verdicts(self) -> dict[IntentId, tuple[Rule | None, str]]:
        rows = self._execute(
            "SELECT intent_id, rule, detail FROM intents ORDER BY created_ns DESC LIMIT ?",
            (REMEMBERED,),
        ).fetchall()
        return {
            IntentId(row[0]): (None if row[1] is None else Rule(row[1]), row[2] if row[1] else "")
            for row in reversed(rows)
        }

    def _commands(self) -> dict[CommandId, tuple[str, int]]:
        rows = self._execute(
            "SELECT command_id, refused, seq FROM commands ORDER BY seq DESC LIMIT ?",
            (REMEMBERED,),
        ).fetchall()
        return {CommandId(row[0]): (row[1], row[2]) for row in reversed(rows)}

    def _pauses(self) -> Iterator[PauseChanged]:
        decode = msgspec.msgpack.Decoder(PauseChanged).decode
        rows = self._execute("SELECT payload FROM latest WHERE kind = 'pause' ORDER BY key")
        for (payload,) in rows:
            fact = decode(payload)
            if fact.is_paused:
                yield fact

    def _ledger(self) -> dict[Asset, Decimal]:
        """Return the total of each asset by our own books; added in Python, exactly."""
        totals: dict[Asset, Decimal] = {}
        rows = self._execute("SELECT asset, amount FROM postings WHERE account = 'asset'")
        for asset, amount in rows:
            totals[asset] = totals.get(asset, Decimal(0)) + Decimal(amount)
        return totals

    def _fills(self) -> dict[FillKey, FillContent]:
        rows = self._execute(
            "SELECT trade_id, order_id, side, quantity, price, fee, tax FROM fills"
            " ORDER BY seq DESC LIMIT ?",
            (2 * REMEMBERED,),
        ).fetchall()
        return {(r[0], r[1], Side(r[2])): (r[3], r[4], r[5], r[6]) for r in reversed(rows)}
