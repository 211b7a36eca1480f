"""One process of a measured chain: `python -m btcbot.bench.stage ROLE FOLDER COUNT RATE PARENT`.

Ours: a source of prices, a strategy that wants an order on every tick, the real risk gate, and an
execution that notes when each order was decoded or committed; all in the real runtime, journals on.
Raw: four processes that hand 200 bytes on over blocking PUSH and PULL; the last may commit a row.
"""

import struct
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import apsw
import msgspec
import zmq
from msgspec import Struct, field
from msgspec.structs import replace

from actors import CODEC, risk_gate
from btcbot.cores import keep_to_half
from btcbot.domain.facts import (
    EpochStarted,
    Opening,
    OrderSubmitting,
    TradingStateChanged,
)
from btcbot.domain.ids import Asset, ClientOrderId, CommandId, IntentId, OrderId, Pair, intent_id
from btcbot.domain.instruments import DOCUMENTED, default_fees
from btcbot.domain.messages import (
    ApprovedOrder,
    AssetBalance,
    BookTop,
    FeedState,
    InstrumentRules,
    IntentVerdict,
    OrderIntent,
    RefuseIntent,
)
from btcbot.domain.money import Amount, Price, Quantity
from btcbot.domain.words import FeedStatus, Rule, Side, TradingState
from btcbot.parent import die_with_parent
from btcbot.sim.setup import LOOSE
from btcbot.store.disk import Disk
from btcbot.store.writer import Writer
from bus.actor import Actor, Answer, Ask, Hears, Publish, Started, Step, Wake, Woken
from bus.clock import SystemClock
from bus.runtime import Place, Process, run

PAIR = Pair("BTCTRY")
RULES = DOCUMENTED[PAIR]
MILLION = 1_000_000
TRY = Asset("TRY")
CLOCK = SystemClock()
WARM_NS = 2_500_000_000  # Until every process has heard of every other.
ACTOR_OF = {"source": "market_data", "committing": "execution"}  # Whose place a role takes.
FOR_EVER_NS = 3_600_000_000_000


def place(folder: Path) -> Place:
    return Place(
        run=folder / "run", journal=folder / "journal", quarantine=folder / "q", codec=CODEC
    )


# --- ours -------------------------------------------------------------------------------------


class Source(Struct):
    """How many tops were said."""

    sent: int = 0


def source(state: Source, message: Struct, now_ns: int) -> Step[Source]:
    """Say a top when it is told to; rules, feed and mark five times a second."""
    if isinstance(message, Woken) and message.name == "tick":
        state.sent += 1
        return Step(state, (Publish("top.BTCTRY", _top(now_ns, stamp_ns=CLOCK.monotonic_ns())),))
    if isinstance(message, Started | Woken):
        # Said again and again: who connects late hears it too, and prices stay confirmed.
        known = (*_known(now_ns), Publish("mark.BTCTRY", _top(now_ns)))
        return Step(state, (*known, Wake("known", now_ns + 200_000_000)))
    return Step(state)


def pace(process: Process, count: int, rate: float) -> None:
    """Have the source say `count` tops, `rate` a second; sleeps as the raw chain's source does."""
    process.start()
    gap_ns, next_ns = round(1e9 / rate), CLOCK.monotonic_ns() + WARM_NS
    for _ in range(count):
        next_ns += gap_ns
        while (wait_ns := next_ns - CLOCK.monotonic_ns()) > 0:
            time.sleep(min(wait_ns, 50_000_000) / 1e9)
            process.drain()
            process.shell.work()
        process.shell.deliver(Woken(name="tick", due_ns=next_ns))
        process.shell.work()
    time.sleep(1)
    process.end()


def _top(now_ns: int, stamp_ns: int = 0) -> BookTop:
    return BookTop(
        pair=PAIR,
        bid=Price(Decimal(3_999_000)),
        bid_quantity=Quantity(Decimal("0.5")),
        ask=Price(Decimal(4_001_000)),
        ask_quantity=Quantity(Decimal("0.4")),
        changed_ns=stamp_ns,
        confirmed_ns=now_ns,
    )


def _known(now_ns: int) -> tuple[Publish, ...]:
    feed = FeedState(
        pair=PAIR, status=FeedStatus.LIVE, confirmed_ns=now_ns, reason="", at_ns=now_ns
    )
    rules = InstrumentRules(instruments=(RULES,), at_ns=now_ns)
    return Publish("feed.BTCTRY", feed), Publish("rules", rules)


class Wanting(Struct):
    """Wants an order for each tick, in a slot of its own."""

    decisions: int = 0


def wanting(state: Wanting, message: Struct, now_ns: int) -> Step[Wanting]:
    if type(message) is not BookTop:
        return Step(state)
    state.decisions += 1
    intent = OrderIntent(
        intent_id=intent_id("bench", 1, state.decisions, 0),
        strategy="bench",
        slot=f"bench:{state.decisions}",
        pair=PAIR,
        side=Side.BUY,
        quantity=Quantity(Decimal("0.0001")),
        limit_price=message.ask,
        reason="bench",
        seen_ns=message.changed_ns,
        decided_ns=now_ns,
        expires_ns=now_ns + FOR_EVER_NS,
    )
    return Step(state, (Ask("risk_gate", intent, intent.intent_id),))


class Sink(Struct):
    """Notes how long each order took to arrive; with a writer, until it was committed."""

    count: int
    taken_ns: list[int] = field(default_factory=list)
    # With those refused: a machine that stalls for longer than a book is fresh.
    seen: set[IntentId] = field(default_factory=set)


def sink(writer: Writer | None, out: Path) -> Any:  # noqa: ANN401 - a Handle over Sink
    def handle(state: Sink, message: Struct, now_ns: int) -> Step[Sink]:
        if not isinstance(message, ApprovedOrder | RefuseIntent):
            return Step(state)
        intent = message.intent
        if intent.intent_id not in state.seen:  # A request that waits is asked again.
            state.seen.add(intent.intent_id)
            if isinstance(message, ApprovedOrder):
                if writer is not None:
                    writer.commit((submitting(message, now_ns, writer.head),), writer.head + 1)
                state.taken_ns.append(CLOCK.monotonic_ns() - intent.seen_ns)
            elif len(state.seen) == len(state.taken_ns) + 1:  # The first.
                out.with_suffix(".refused").write_text(f"{message.rule}: {message.detail}")
            if len(state.seen) == state.count:
                out.write_bytes(msgspec.json.encode(state.taken_ns))
        # Refused, so that the gate forgets it: a chain of ticks must not fill its limits.
        verdict = IntentVerdict(intent_id=intent.intent_id, rule=Rule.NOT_ARMED, detail="bench")
        return Step(state, (Answer(intent.intent_id, verdict),))

    return handle


def committing(database: Path) -> Writer:
    """Return the writer of a new journal, opened as execution opens it."""
    writer = Writer(str(database))
    Disk(database, 0).lengthen_log()
    return writer


def submitting(order: ApprovedOrder, now_ns: int, head: int) -> OrderSubmitting:
    return OrderSubmitting(
        intent=order.intent,
        client_order_id=ClientOrderId(f"b1-bench-{order.intent.intent_id}"),
        approved_ns=order.approved_ns,
        stamp_ms=now_ns // MILLION,
        id_floor=OrderId(head),
        reserved=Amount(Decimal(400)),
        at_ns=now_ns,
    )


FACTS = (
    EpochStarted(at_ns=1, epoch=1, instance="bench", mode="bench"),
    TradingStateChanged(
        at_ns=1, state=TradingState.LIVE, by="bench", reason="bench", command_id=CommandId("")
    ),
    Opening(
        at_ns=1,
        balances=(AssetBalance(TRY, Amount(Decimal(10**9)), Amount(Decimal(10**9))),),
        postings=(),
    ),
)


def facts_after(
    after: int, tags: tuple[str, ...], _limit: int
) -> tuple[list[tuple[int, Struct]], int]:
    rows = [
        (n, fact)
        for n, fact in enumerate(FACTS, 1)
        if n > after and fact.__struct_config__.tag in tags
    ]
    return list(rows), len(FACTS)


def ours(role: str, folder: Path, count: int, rate: float) -> None:
    """Run one of our four processes until it is told to end."""
    keep_to_half(ACTOR_OF.get(role, role))
    if role == "source":
        beating = Actor(name="market_data", state=Source(), handle=source)
        pace(Process(lambda _deliver, _peers: beating, place(folder)), count, rate)
        return
    if role == "strategy":
        hears = (Hears(source="market_data", topic="top.", conflate=False),)
        made: Actor[Any] = Actor(
            name="strategy", state=Wanting(), handle=wanting, hears=hears, asks=("risk_gate",)
        )
    elif role == "risk_gate":
        # A machine that stalls has a backlog: it is timed, not refused.
        limits = replace(LOOSE, open_orders_max=count, pair_open_orders_max=count)
        made = risk_gate.actor(limits, {PAIR: default_fees(TRY)})
    else:
        writer = committing(folder / "bench.db") if role == "committing" else None
        made = Actor(
            name="execution",
            state=Sink(count),
            handle=sink(writer, folder / "taken.json"),
            receives=(ApprovedOrder, RefuseIntent),
            read_facts=facts_after,
            facts_head=lambda _state: len(FACTS),
        )
    run(lambda _deliver, _peers: made, place(folder))


# --- raw --------------------------------------------------------------------------------------


def raw(role: str, folder: Path, count: int, rate: float) -> None:
    """Run one of the four raw processes to its end."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    number = min(("raw_source", "raw_1", "raw_2", "raw_last", "raw_commit").index(role), 3)
    pull, push = context.socket(zmq.PULL), context.socket(zmq.PUSH)
    if number > 0:
        pull.bind(f"ipc://{folder}/raw{number}")
    if number < 3:
        push.connect(f"ipc://{folder}/raw{number + 1}")
    if role == "raw_source":
        _raw_source(push, count, rate)
    elif number < 3:
        for _ in range(count):
            push.send(pull.recv())
    else:
        taken = _raw_last(pull, count, folder, commits=role == "raw_commit")
        (folder / "taken.json").write_bytes(msgspec.json.encode(taken))
    time.sleep(1)  # Until the last frame has left.


def _raw_source(push: "zmq.Socket[bytes]", count: int, rate: float) -> None:
    gap_ns, padding = round(1e9 / rate), b"x" * 192
    time.sleep(1)
    next_ns = CLOCK.monotonic_ns()
    for _ in range(count):
        next_ns += gap_ns
        wait_ns = next_ns - CLOCK.monotonic_ns()
        if wait_ns > 0:
            time.sleep(wait_ns / 1e9)
        push.send(struct.pack("<q", CLOCK.monotonic_ns()) + padding)


def _raw_last(pull: "zmq.Socket[bytes]", count: int, folder: Path, *, commits: bool) -> list[int]:
    taken = []
    execute = _raw_table(folder) if commits else None
    for n in range(count):
        frame = pull.recv()
        if execute is not None:
            execute("INSERT INTO j(ts, kind, payload) VALUES(?, 'intent', ?)", (n, frame))
        taken.append(CLOCK.monotonic_ns() - struct.unpack_from("<q", frame)[0])
    return taken


def _raw_table(folder: Path) -> Any:  # noqa: ANN401 - apsw's execute
    connection = apsw.Connection(str(folder / "raw.db"))
    for statement in (
        "PRAGMA journal_mode=wal",
        "PRAGMA synchronous=FULL",
        "PRAGMA locking_mode=EXCLUSIVE",
        "CREATE TABLE j(seq INTEGER PRIMARY KEY, ts INTEGER, kind TEXT, payload BLOB)",
    ):
        connection.execute(statement).fetchall()
    return connection.execute


if __name__ == "__main__":
    chosen, where, how_many, how_fast, parent = sys.argv[1:]
    die_with_parent(int(parent))
    begin = raw if chosen.startswith("raw") else ours
    begin(chosen, Path(where), int(how_many), float(how_fast))
