"""Reading what was written: recovery, catch-up of hearers, and rows for people.

Works on the writer's own connection (recovery, catch-up) and on read-only ones (CLI, dashboard).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, TypeVar

import apsw
import msgspec

from btcbot.domain.facts import (
    FACTS,
    AccountBound,
    Balances,
    Discrepancy,
    EpochStarted,
    Fact,
    LimitTightened,
    Opening,
    PauseChanged,
    RiskModeSet,
    TradingStateChanged,
)
from btcbot.domain.ids import Asset, ClientOrderId, CommandId, IntentId, OrderId, Pair
from btcbot.domain.messages import OrderIntent
from btcbot.domain.words import OrderState, Rule, Side, TradingState
from btcbot.orders.lifecycle import TERMINAL
from btcbot.orders.recovery import Recovered
from btcbot.orders.state import (
    ALARMS_REMEMBERED,
    MINUTE_NS,
    REMEMBERED,
    FillContent,
    FillKey,
    Order,
    Sent,
    held_after,
)

PAGE_MAX = 500
_BY_TAG = {str(kind.__struct_config__.tag): kind for kind in FACTS}
_DECODERS = {tag: msgspec.msgpack.Decoder(kind).decode for tag, kind in _BY_TAG.items()}
_OVER = str(tuple(sorted(str(state) for state in TERMINAL)))
_intent = msgspec.msgpack.Decoder(OrderIntent).decode

F = TypeVar("F", bound=Fact)


class Reader:
    """Queries over one connection."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._execute = connection.execute

    def facts_after(
        self, after: int, tags: tuple[str, ...], limit: int
    ) -> tuple[list[tuple[int, Fact]], int]:
        """Return facts with one of `tags` above `after`, and the sequence they are complete to.

        A page: at most `limit` of them, and never more than 500.
        """
        limit = min(limit, PAGE_MAX)
        marks = ",".join("?" * len(tags))
        rows: list[Any] = self._execute(
            # The plus keeps SQLite from its index of kinds: sorting what that finds is nine times
            # dearer than to read on in order, where a hearer folds most of the kinds.
            f"SELECT seq, kind, payload FROM events WHERE seq > ? AND +kind IN ({marks})"  # noqa: S608
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

    @contextmanager
    def one_moment(self) -> Iterator[None]:
        """Let every query within see the same moment.

        Not for long: the write-ahead log is not emptied meanwhile.
        """
        self._execute("BEGIN")
        try:
            yield
        finally:
            self._execute("COMMIT")

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
            bound=self.bound(),
            head=self._number("SELECT coalesce(max(seq), 0) FROM events"),
            orders=tuple(self._orders()),
            sent=tuple(self._sent()),
            last_stamp_ms=self._number("SELECT coalesce(max(stamp_ms), 0) FROM intents"),
            id_floor=self._id_floor(),
            verdicts=self._verdicts(),
            commands=self._commands(),
            trading=self._one("trading_state", TradingStateChanged),
            trading_seq=self._number(
                "SELECT coalesce(max(seq), 0) FROM latest WHERE kind = 'trading_state'"
            ),
            kill_command=self._kill_command(),
            pauses=tuple(self._pauses()),
            tightened=tuple(self._tightened()),
            risk_mode=self._one("risk_mode", RiskModeSet),
            opening=self._one("opening", Opening),
            balances=self._one("balances", Balances),
            ledger=self._ledger(),
            positions=self._positions(),
            fills=self._fills(),
            fills_until_ns=self._number("SELECT coalesce(max(event_ns), 0) FROM fills"),
            discrepancies=self._discrepancies(),
        )

    def bound(self) -> AccountBound | None:
        """Return whose account this journal is of; None: nobody's yet."""
        return self._one("account", AccountBound)

    def _one(self, kind: str, fact: type[F]) -> F | None:
        rows: list[Any] = self._execute(
            "SELECT payload FROM latest WHERE kind = ?", (kind,)
        ).fetchall()
        return msgspec.msgpack.decode(rows[0][0], type=fact) if rows else None

    def _number(self, query: str) -> int:
        rows: list[Any] = self._execute(query).fetchall()
        return int(rows[0][0])

    def _orders(self) -> Iterator[Order]:
        """Yield every live order and the newest that ended, each sort oldest first."""
        columns = (
            "intent, state, client_order_id, stamp_ms, id_floor, reserved, order_id, executed,"
            " filled, cost, cancel_by, cancel_reason, created_ns"
        )
        rows: list[Any] = self._execute(
            f"SELECT {columns} FROM intents WHERE client_order_id IS NOT NULL"  # noqa: S608 - ours
            f" AND state NOT IN {_OVER} ORDER BY stamp_ms"
        ).fetchall()
        ended: list[Any] = self._execute(
            f"SELECT {columns} FROM intents WHERE client_order_id IS NOT NULL"  # noqa: S608 - ours
            f" AND state IN {_OVER} ORDER BY closed_ns DESC LIMIT ?",
            (REMEMBERED,),
        ).fetchall()
        for row in (*rows, *reversed(ended)):
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

    def _sent(self) -> Iterator[Sent]:
        rows = self._execute(
            "SELECT intent, created_ns FROM intents WHERE posts = 1 AND created_ns >"
            " (SELECT max(created_ns) FROM intents WHERE posts = 1) - ? ORDER BY stamp_ms",
            (MINUTE_NS,),
        )
        for intent, created_ns in rows:
            yield Sent.of(_intent(intent), created_ns)

    def _id_floor(self) -> dict[Pair, OrderId]:
        rows = self._execute(
            "SELECT pair, max(max(id_floor), coalesce(max(order_id), 0)) FROM intents"
            " WHERE posts = 1 GROUP BY pair"
        )
        return {Pair(pair): OrderId(floor) for pair, floor in rows}

    def _kill_command(self) -> CommandId | None:
        """Return the command of a kill that goes on; it does while the bot is HALTED, too."""
        rows = self._execute(
            "SELECT kind, payload FROM events"
            " WHERE kind IN ('trading_state_changed', 'kill_completed') ORDER BY seq DESC"
        )
        for kind, payload in rows:
            fact = _DECODERS[kind](payload)
            if not isinstance(fact, TradingStateChanged):
                return None
            if fact.state is not TradingState.HALTED:
                return fact.command_id if fact.state is TradingState.KILLED else None
        return None

    def _discrepancies(self) -> dict[tuple[str, str], int]:
        decode = msgspec.msgpack.Decoder(Discrepancy).decode
        rows = self._execute(
            "SELECT seq, payload FROM events WHERE kind = 'discrepancy' ORDER BY seq DESC LIMIT ?",
            (ALARMS_REMEMBERED,),
        ).fetchall()
        said = [(seq, decode(payload)) for seq, payload in reversed(rows)]
        return {(fact.subject, fact.detail): seq for seq, fact in said}

    def _positions(self) -> dict[Pair, Decimal]:
        """Return what our own fills hold of each pair, in base."""
        held: dict[Pair, Decimal] = {}
        rows = self._execute(
            "SELECT pair, side, quantity FROM fills WHERE intent_id IS NOT NULL ORDER BY seq"
        )
        for name, side, quantity in rows:
            pair = Pair(name)
            before = held.get(pair, Decimal(0))
            held[pair] = held_after(before, Side(side), Decimal(quantity))
        return held

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

    def _tightened(self) -> Iterator[LimitTightened]:
        decode = msgspec.msgpack.Decoder(LimitTightened).decode
        for (payload,) in self._execute(
            "SELECT payload FROM latest WHERE kind = 'limit' ORDER BY key"
        ):
            yield decode(payload)

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
        return {
            (trade, order, Side(side)): (Decimal(a), Decimal(b), Decimal(c), Decimal(d))
            for trade, order, side, a, b, c, d in reversed(rows)
        }
