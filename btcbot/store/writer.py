"""The sole writer: facts in, one commit each turn; events first, and what they mean beside them.

A commit returns after the disk has it. Projections come from facts alone, so a table can never say
what no event says.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import singledispatchmethod
from hashlib import blake2b
from typing import Any

import apsw
import msgspec

from btcbot.domain.checks import check
from btcbot.domain.facts import (
    FACTS,
    AccountBound,
    AgentDecided,
    Balances,
    BalancesExplained,
    CommandRefused,
    EpochStarted,
    Fact,
    Fill,
    IntentRefused,
    LimitTightened,
    Opening,
    OrderAbsent,
    OrderAcked,
    OrderCancelRequested,
    OrderClosed,
    OrderClosing,
    OrderNotSent,
    OrderRejected,
    OrderResolved,
    OrderSubmitting,
    OrderUnknown,
    OrderZombie,
    PauseChanged,
    Posting,
    Recorded,
    RiskModeSet,
    TradingStateChanged,
)
from btcbot.domain.ids import CommandId, IntentId
from btcbot.domain.messages import OrderIntent, Scope
from btcbot.domain.money import text
from btcbot.domain.words import OrderState
from btcbot.store.anchor import Anchor, path_of
from btcbot.store.database import StoreBusy, StoreError, checkpoint, open_writer
from btcbot.store.reader import Reader

CHAIN_START = bytes(16)
_encode = msgspec.msgpack.Encoder().encode
_KINDS = {kind: str(kind.__struct_config__.tag) for kind in FACTS}


class Writer:
    """Owns the writing connection of `path` (":memory:" for backtests)."""

    def __init__(self, path: str, vfs: str = "") -> None:
        """`vfs`: a registered SQLite VFS; empty: the machine's own disk. Raises StoreError."""
        self._connection = open_writer(path, vfs)
        # One cursor for good: the connection would make one for each statement.
        self._execute = self._connection.cursor().execute
        last: list[Any] = self._execute(
            "SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1"
        ).fetchall()
        self.head: int = last[0][0] if last else 0
        self._chain: bytes = last[0][1] if last else CHAIN_START
        self.epoch = 0
        self._path = path
        self._anchor = None if path == ":memory:" else Anchor(path_of(path))

    def verify(self, tail: int = 100_000) -> None:
        """Check the hash chain over the newest `tail` events, and the anchor against its end.

        Raises StoreError where the chain breaks, or when the journal ends before the anchor.
        """
        self._verify_anchor()
        first = max(1, self.head - tail + 1)
        before: list[Any] = self._execute(
            "SELECT hash FROM events WHERE seq = ?", (first - 1,)
        ).fetchall()
        chain, expected = (before[0][0] if before else CHAIN_START), first
        rows: Any = self._execute(
            "SELECT seq, epoch, at_ns, kind, payload, hash FROM events WHERE seq >= ? ORDER BY seq",
            (first,),
        )
        for seq, epoch, at_ns, kind, payload, stored in rows:
            chain = link(chain, seq, epoch, at_ns, kind, payload)
            if seq != expected or chain != stored:
                raise StoreError(
                    f"{self._path}: event {seq} is not what was written; restore a backup"
                )
            expected += 1

    def _verify_anchor(self) -> None:
        known = self._anchor.read() if self._anchor else None
        if known is None or self._anchor is None:
            return  # A new database, or a person removed the anchor of a restored one.
        seq, chain = known
        if seq > self.head:
            raise StoreError(
                f"{self._path}: ends at event {self.head}, but event {seq} was written: this is an"
                " old copy, or its -wal file is lost. Orders sent since then are not in it. Bring"
                f" the newest back; only to go on without them, remove {self._anchor.path}"
            )
        rows: list[Any] = self._execute("SELECT hash FROM events WHERE seq = ?", (seq,)).fetchall()
        if seq and (not rows or rows[0][0] != chain):
            raise StoreError(
                f"{self._path}: event {seq} is not the one that was written; restore a backup"
            )

    def commit(self, facts: Sequence[Fact], first: int) -> None:
        """Write `facts` as events `first`, `first` + 1, … with all they mean, in one transaction.

        Durable when it returns. Any error leaves nothing written, and the writer must not be used
        again: the caller dies, and recovery reads what is true. Raises StoreBusy when another
        process writes, which nobody may.
        """
        assert first == self.head + 1, f"facts from {first}, but the head is {self.head}"
        execute, chain, seq = self._execute, self._chain, self.head
        try:
            execute("BEGIN IMMEDIATE")
        except apsw.BusyError:
            raise StoreBusy(f"{self._path}: another process writes it; find out which") from None
        try:
            for fact in facts:
                seq += 1
                check(fact)  # What hearers would refuse must never become a fact.
                payload = _encode(fact)
                kind = _KINDS[type(fact)]
                chain = link(chain, seq, self.epoch, fact.at_ns, kind, payload)
                execute(
                    "INSERT INTO events VALUES(?, ?, ?, ?, ?, ?)",
                    (seq, self.epoch, fact.at_ns, kind, payload, chain),
                )
                _meaning(type(fact))(self, fact, seq)
            execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                execute("ROLLBACK")
            raise
        self.head, self._chain = seq, chain
        if self._anchor is not None:
            self._anchor.write(seq, chain)

    def checkpoint(self) -> None:
        """Move the write-ahead log into the database, as far as readers allow."""
        checkpoint(self._connection)

    @property
    def reader(self) -> Reader:
        """Queries over the writing connection: they see every commit at once."""
        return Reader(self._connection)

    def close(self) -> None:
        self._connection.close()
        if self._anchor is not None:
            self._anchor.close()

    # --- what facts mean ----------------------------------------------------------------------

    @singledispatchmethod
    def _project(self, fact: Fact, seq: int) -> None:
        """Most facts are only events."""

    @_project.register
    def _(self, fact: EpochStarted, seq: int) -> None:
        self._latest("epoch", "", fact, seq)

    @_project.register
    def _(self, fact: AccountBound, seq: int) -> None:
        self._latest("account", "", fact, seq)

    @_project.register
    def _(self, fact: IntentRefused, seq: int) -> None:
        self._execute(
            "INSERT INTO intents(intent_id, intent, strategy, slot, pair, side, state, rule,"
            " detail, decided_ns, created_ns, posts, filled, cost, seq)"
            " VALUES(?, ?, ?, ?, ?, ?, 'REFUSED', ?, ?, ?, ?, 0, '0', '0', ?)",
            (*_wish(fact.intent), fact.rule, fact.detail, fact.intent.decided_ns, fact.at_ns, seq),
        )

    @_project.register
    def _(self, fact: OrderSubmitting, seq: int) -> None:
        self._execute(
            "INSERT INTO intents(intent_id, intent, strategy, slot, pair, side, state, detail,"
            " decided_ns, approved_ns, created_ns, client_order_id, posts, stamp_ms, id_floor,"
            " reserved, filled, cost, seq)"
            " VALUES(?, ?, ?, ?, ?, ?, 'SENDING', '', ?, ?, ?, ?, 1, ?, ?, ?, '0', '0', ?)",
            (
                *_wish(fact.intent), fact.intent.decided_ns, fact.approved_ns, fact.at_ns,
                fact.client_order_id, fact.stamp_ms, fact.id_floor, text(fact.reserved), seq,
            ),
        )  # fmt: skip

    @_project.register
    def _(self, fact: OrderAcked, seq: int) -> None:
        self._execute(
            "UPDATE intents SET state = 'OPEN', order_id = ?, acked_ns = ?, seq = ?"
            " WHERE intent_id = ?",
            (fact.order_id, fact.at_ns, seq, fact.intent_id),
        )
        # A cancel that was asked for while it was in doubt waited for this.
        self._execute(
            "UPDATE intents SET state = 'CANCEL_REQ' WHERE intent_id = ? AND cancel_by IS NOT NULL",
            (fact.intent_id,),
        )

    @_project.register
    def _(self, fact: OrderNotSent, seq: int) -> None:
        self._end(fact.intent_id, OrderState.NOT_SENT, fact.detail, fact.at_ns, seq)

    @_project.register
    def _(self, fact: OrderRejected, seq: int) -> None:
        detail = f"{fact.code} {fact.detail}".strip()
        self._end(fact.intent_id, OrderState.REJECTED, detail, fact.at_ns, seq)

    @_project.register
    def _(self, fact: OrderAbsent, seq: int) -> None:
        proof = f"proven absent by {fact.sweeps} sweeps"
        detail = proof if fact.sweeps else "a person says that it never was"
        self._end(fact.intent_id, OrderState.ABSENT, detail, fact.at_ns, seq)

    @_project.register
    def _(self, fact: OrderResolved, seq: int) -> None:
        self._done(fact.command_id, "", seq)

    @_project.register
    def _(self, fact: OrderUnknown, seq: int) -> None:
        self._execute(
            "UPDATE intents SET state = 'UNKNOWN', detail = ?, seq = ? WHERE intent_id = ?",
            (fact.detail, seq, fact.intent_id),
        )

    @_project.register
    def _(self, fact: OrderCancelRequested, seq: int) -> None:
        # An order in doubt keeps its state: the wish to cancel waits until it is found.
        self._execute(
            "UPDATE intents SET cancel_by = ?, cancel_reason = ?, seq = ? WHERE intent_id = ?",
            (fact.by, fact.reason, seq, fact.intent_id),
        )
        self._execute(
            "UPDATE intents SET state = 'CANCEL_REQ' WHERE intent_id = ? AND state = 'OPEN'",
            (fact.intent_id,),
        )

    @_project.register
    def _(self, fact: OrderClosing, seq: int) -> None:
        self._execute(
            "UPDATE intents SET state = 'CLOSING', executed = ?, detail = ?, seq = ?"
            " WHERE intent_id = ?",
            (text(fact.executed), fact.status, seq, fact.intent_id),
        )

    @_project.register
    def _(self, fact: OrderClosed, seq: int) -> None:
        self._end(fact.intent_id, OrderState.CLOSED, fact.reason, fact.at_ns, seq)

    @_project.register
    def _(self, fact: OrderZombie, seq: int) -> None:
        # Its own slot: one live order per slot must never keep bad news from being written.
        self._execute(
            "UPDATE intents SET state = 'ZOMBIE', slot = slot || '#z' || ?, order_id = ?,"
            " cancel_by = 'execution', closed_ns = NULL, seq = ? WHERE intent_id = ?",
            (seq, fact.order_id, seq, fact.intent_id),
        )

    @_project.register
    def _(self, fact: Fill, seq: int) -> None:
        self._execute(
            "INSERT INTO fills VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                fact.trade_id, fact.order_id, fact.side, fact.intent_id, fact.client_order_id,
                fact.pair, text(fact.quantity), text(fact.price), text(fact.fee), text(fact.tax),
                fact.fee_asset, fact.event_ns, fact.liquidity, seq,
            ),
        )  # fmt: skip
        self._post(fact.postings, seq)
        if fact.intent_id is not None:
            self._add_to_order(fact, seq)

    @_project.register
    def _(self, fact: Balances, seq: int) -> None:
        self._latest("balances", "", fact, seq)

    @_project.register
    def _(self, fact: Opening, seq: int) -> None:
        self._latest("opening", "", fact, seq)
        self._post(fact.postings, seq)

    @_project.register
    def _(self, fact: BalancesExplained, seq: int) -> None:
        self._post(fact.postings, seq)
        self._done(fact.command_id, "", seq)

    @_project.register
    def _(self, fact: TradingStateChanged, seq: int) -> None:
        self._latest("trading_state", "", fact, seq)
        self._done(fact.command_id, "", seq)

    @_project.register
    def _(self, fact: PauseChanged, seq: int) -> None:
        self._latest("pause", scope_key(fact.scope), fact, seq)
        self._done(fact.command_id, "", seq)

    @_project.register
    def _(self, fact: LimitTightened, seq: int) -> None:
        self._latest("limit", fact.name, fact, seq)
        self._done(fact.command_id, "", seq)

    @_project.register
    def _(self, fact: RiskModeSet, seq: int) -> None:
        self._latest("risk_mode", "", fact, seq)
        self._done(fact.command_id, "", seq)

    @_project.register
    def _(self, fact: CommandRefused, seq: int) -> None:
        self._done(fact.command_id, fact.detail, seq)

    @_project.register
    def _(self, fact: Recorded, seq: int) -> None:
        self._latest(f"record/{fact.owner}/{fact.kind}", fact.key, fact, seq)
        self._done(fact.command_id, "", seq)

    @_project.register
    def _(self, fact: AgentDecided, seq: int) -> None:
        self._done(fact.command_id, "", seq)

    # --- rows ---------------------------------------------------------------------------------

    def _end(self, intent: IntentId, state: OrderState, detail: str, at_ns: int, seq: int) -> None:
        self._execute(
            "UPDATE intents SET state = ?, detail = ?, closed_ns = ?, seq = ? WHERE intent_id = ?",
            (state, detail, at_ns, seq, intent),
        )

    def _post(self, postings: Sequence[Posting], seq: int) -> None:
        sums: dict[str, Decimal] = {}
        for posting in postings:
            sums[posting.asset] = sums.get(posting.asset, Decimal(0)) + posting.amount
        assert not any(sums.values()), f"event {seq} would make or lose money: {sums}"
        for line, posting in enumerate(postings):
            self._execute(
                "INSERT INTO postings VALUES(?, ?, ?, ?, ?)",
                (seq, line, posting.account, posting.asset, text(posting.amount)),
            )

    def _add_to_order(self, fill: Fill, seq: int) -> None:
        """Add a fill to its order's sums; decimals are added here, never by SQL.

        A fill is a row once, and its row is inserted in this transaction: added once. Reading the
        order's fills again would scan them all, for ever more of them.
        """
        known: list[Any] = self._execute(
            "SELECT filled, cost FROM intents WHERE intent_id = ?", (fill.intent_id,)
        ).fetchall()
        for filled, cost in known:
            self._execute(
                "UPDATE intents SET filled = ?, cost = ?, seq = ? WHERE intent_id = ?",
                (
                    text(Decimal(filled) + fill.quantity),
                    text(Decimal(cost) + fill.quantity * fill.price),
                    seq,
                    fill.intent_id,
                ),
            )

    def _latest(self, kind: str, key: str, fact: Fact, seq: int) -> None:
        self._execute(
            "INSERT OR REPLACE INTO latest VALUES(?, ?, ?, ?)", (kind, key, _encode(fact), seq)
        )

    def _done(self, command: CommandId, refused: str, seq: int) -> None:
        if command:  # Some changes are made by nobody's command: an invariant broke.
            self._execute("INSERT INTO commands VALUES(?, ?, ?)", (command, refused, seq))


def scope_key(scope: Scope) -> str:
    """Return the key of a pause's row: one row a scope."""
    return "|".join((scope.pair or "*", scope.strategy or "*", scope.side or "*"))


# What `writer._project` would choose; asked of the writer, it makes a function anew each time.
_meaning: Callable[[type], Callable[[Writer, Fact, int], None]] = vars(Writer)[
    "_project"
].dispatcher.dispatch


def _wish(intent: OrderIntent) -> tuple[object, ...]:
    """Return the columns that every judged intent has."""
    return (
        intent.intent_id, _encode(intent), intent.strategy, intent.slot, intent.pair, intent.side,
    )  # fmt: skip


def link(chain: bytes, seq: int, epoch: int, at_ns: int, kind: str, payload: bytes) -> bytes:
    """Return the hash of an event: of the one before, and of everything in its row."""
    head = seq.to_bytes(8) + epoch.to_bytes(8) + at_ns.to_bytes(8)
    return blake2b(chain + head + kind.encode() + b"\0" + payload, digest_size=16).digest()
