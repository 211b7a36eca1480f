"""Reads a period of a home as a run: what its database has, and the market as its journal heard it.

Orders are those that were alive in the period; fills are of it by the exchange's clock. What people
pay in or take out is told apart from what fills moved: it is nobody's profit.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from btcbot.domain.money import ZERO
from btcbot.research import folder
from btcbot.research.folder import RunError
from btcbot.research.heard import arrivals
from btcbot.research.lines import Doubt, Gap, OrderLine, Run
from btcbot.research.valuation import bars_of, curve, heard
from btcbot.store.database import StoreError
from btcbot.store.queries import FOREVER, History, Row
from bus import journal

MAGIC: Final = b"SQLite format 3\x00"
ENDS: Final = {
    "order_acked": "found", "order_absent": "absent", "order_closing": "found",
    "order_closed": "closed", "order_rejected": "rejected", "order_not_sent": "not sent",
    "order_zombie": "found",
}  # fmt: skip


class Facts(Struct, kw_only=True):
    """What the log of facts says of a period."""

    mode: str = ""
    first: dict[str, Decimal] = field(default_factory=dict)
    last: dict[str, Decimal] = field(default_factory=dict)
    moved_in: dict[str, Decimal] = field(default_factory=dict)
    doubts: dict[str, Doubt] = field(default_factory=dict)  # By intent.
    lives: list[int] = field(default_factory=list)
    from_ns: int = 0
    until_ns: int = 0


def read(database: Path, span_ns: tuple[int, int] | None) -> Run:
    """Return the period `span_ns` of `database`, or all of it. Raises RunError."""
    since_ns, until_ns = span_ns or (0, FOREVER)
    with database.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise RunError(f"{database}: not a database of SQLite")
    try:
        history = History(database)
        with history.one_moment():  # A fleet may be running.
            rows = _alive(history.orders(0, until_ns), since_ns)
            fills = tuple(map(folder.fill_of, history.fills(since_ns, until_ns)))
            intents = [row["rule"] for row in history.intents(since_ns, until_ns) if row["rule"]]
            facts = _facts(history.events(), since_ns, until_ns)
            count, head = history.head()
    except (StoreError, ValueError) as error:
        raise RunError(f"{database}: {error}") from error
    labels = {row["intent_id"]: row for row in rows}
    market = heard(database.parent / "journal" / "accounting", facts.from_ns, until_ns)
    equity = tuple(curve(facts.first, fills, market.marks))
    return Run(
        kind=facts.mode,
        identity={
            "database": str(database),
            "mode": facts.mode,
            "lives": len(facts.lives),
            "facts": count,
            "data": head,
            "config": _config_of(database.parent / "run" / "config.json"),
            "code": _code_of(database.parent / "journal" / "execution"),
        },
        started_ns=facts.from_ns,
        ended_ns=max(facts.until_ns, *(line.at_ns for line in equity[-1:]), 0),
        orders=tuple(_with_arrivals(database, map(folder.order_of, rows))),
        fills=fills,
        refusals={rule: intents.count(rule) for rule in sorted(set(intents))},
        equity=equity,
        balances_first=facts.first,
        balances_last=facts.last,
        moved_in=facts.moved_in,
        bars=tuple(bars_of(market.minutes)),
        doubts=tuple(_named(facts.doubts, labels)),
        span_ns=span_ns,
        gaps=tuple(
            Gap(what="execution began a life", from_ns=at_ns, until_ns=at_ns)
            for at_ns in facts.lives
        ),
    )


def _config_of(path: Path) -> str | None:
    """Return a hash of the configuration that the last fleet here was started with."""
    try:
        return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
    except OSError:
        return None


def _code_of(folder: Path) -> str | None:
    """Return what the newest life of execution ran: the hash that its journal begins with."""
    try:
        first = next(iter(journal.read(journal.segments(folder)[-1])), None)
    except (IndexError, journal.JournalError, OSError):
        return None
    return first.code if isinstance(first, journal.Checkpoint) else None


def _with_arrivals(database: Path, orders: Iterable[OrderLine]) -> Iterator[OrderLine]:
    lines = list(orders)
    found = arrivals(database.parent / "journal" / "market_data", lines)
    for line in lines:
        yield replace(line, arrival_price=found.get(line.client_order_id))


def _alive(orders: Iterable[Row], since_ns: int) -> list[Row]:
    return [row for row in orders if (row["closed_ns"] or FOREVER) >= since_ns]


def _facts(events: Iterable[Row], since_ns: int, until_ns: int) -> Facts:
    """Fold the whole log: what was there before a period is part of what is there after it."""
    found = Facts()
    for event in events:
        kind, fact, at_ns = event["kind"], event["fact"], event["at_ns"]
        if kind == "epoch_started":
            found.mode = fact["mode"]
        moved_ns = fact["event_ns"] if kind == "fill" else at_ns
        if kind in ("opening", "fill", "balances_explained") and moved_ns < until_ns:
            is_before = moved_ns < since_ns or kind == "opening"
            _post(found, fact["postings"], is_before=is_before, is_fill=kind == "fill")
        if not since_ns <= at_ns < until_ns:
            continue
        found.from_ns = found.from_ns or at_ns
        found.until_ns = at_ns
        if kind == "epoch_started":
            found.lives.append(at_ns)
        elif kind == "order_unknown":
            found.doubts.setdefault(fact["intent_id"], _doubt(fact["intent_id"], at_ns))
        elif kind in ENDS:
            _end(found.doubts, fact["intent_id"], at_ns, ENDS[kind])
    return found


def _post(found: Facts, postings: Iterable[Row], *, is_before: bool, is_fill: bool) -> None:
    for line in postings:
        if line["account"] != "asset":
            continue
        asset, amount = line["asset"], Decimal(line["amount"])
        found.last[asset] = found.last.get(asset, ZERO) + amount
        if is_before:
            found.first[asset] = found.first.get(asset, ZERO) + amount
        elif not is_fill:
            found.moved_in[asset] = found.moved_in.get(asset, ZERO) + amount


def _doubt(intent_id: str, at_ns: int) -> Doubt:
    return Doubt(client_order_id=intent_id, pair="", from_ns=at_ns, until_ns=None, ended="")


def _end(doubts: dict[str, Doubt], intent_id: str, at_ns: int, how: str) -> None:
    open_one = doubts.get(intent_id)
    if open_one is not None and open_one.until_ns is None:
        doubts[intent_id] = Doubt(
            client_order_id=open_one.client_order_id,
            pair=open_one.pair,
            from_ns=open_one.from_ns,
            until_ns=at_ns,
            ended=how,
        )


def _named(doubts: Mapping[str, Doubt], labels: Mapping[str, Row]) -> Iterator[Doubt]:
    for intent_id, one in doubts.items():
        row = labels.get(intent_id, {})
        yield Doubt(
            client_order_id=row.get("client_order_id") or intent_id,
            pair=row.get("pair", ""),
            from_ns=one.from_ns,
            until_ns=one.until_ns,
            ended=one.ended,
        )
