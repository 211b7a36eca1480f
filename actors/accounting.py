"""Accounting: from fills and balances to positions, profit and equity.

Hears   facts (Opening, Fill, Balances, Recorded), BookTop on `mark.`, InstrumentRules
Says    AccountSnapshot, PnlReport; asks execution to keep the highest equity (Record)
Never   counts a fill twice: the bus gives each fact once, in order

Everything follows from facts and the latest prices, so a new life says what the old one said. Only
the highest equity does not: prices are no facts. It is recorded, at most once a minute. What has
no price yet counts as 0 in profit and makes equity None.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, assert_never

from msgspec import Struct, field
from msgspec.structs import replace

from actors import ask_to_record, place_of
from btcbot.config import Config
from btcbot.domain.facts import Balances, BalancesExplained, Fill, Opening, Recorded
from btcbot.domain.ids import Asset, Pair
from btcbot.domain.instruments import Instrument
from btcbot.domain.messages import (
    AccountSnapshot,
    BookTop,
    CommandDone,
    InstrumentRules,
    PnlReport,
    Position,
)
from btcbot.domain.money import BPS_IN_ONE, ZERO, Amount, Notional, Price, parse, text
from btcbot.domain.repeats import Repeats
from btcbot.ledger import history, holdings, pnl, value
from btcbot.ledger.drawdown import Peak
from btcbot.ledger.positions import Holding, book
from bus.actor import (
    Actor,
    Ask,
    CaughtUp,
    Deliver,
    Health,
    Hears,
    PeerBack,
    PeerLost,
    Publish,
    RequestExpired,
    Started,
    Step,
    Wake,
    Woken,
)
from bus.kept import revived
from bus.runtime import PeersView, run

Inbox = (
    BookTop | Fill | InstrumentRules | Balances | Opening | BalancesExplained | Recorded
    | CommandDone | CaughtUp | PeerLost | PeerBack | RequestExpired | Started | Woken
)  # fmt: skip

RECORD_NS: Final = 60_000_000_000
RECORD_RISE: Final = 1 + 1 / BPS_IN_ONE  # A smaller rise waits: the log of facts is for ever.
HEARERS: Final = ("control", "dashboard", "strategy")  # Of where we stand.
OWNER, PEAK = history.OWNER, "peak"


class State(Struct, kw_only=True):
    """What accounting remembers; owned, its maps are replaced."""

    epoch: int = 0
    tops: dict[Pair, BookTop] = field(default_factory=dict)  # The one map changed in place.
    marks: Mapping[Pair, Price] = field(default_factory=dict)  # Of the tops, as of the last look.
    instruments: tuple[Instrument, ...] = ()
    traded: tuple[Asset, ...] = ()  # Base and quote of every configured pair, sorted.
    held: Mapping[Pair, Holding] = field(default_factory=dict)
    quotes: Mapping[Pair, Asset] = field(default_factory=dict)
    accounts: holdings.Accounts = field(default_factory=dict)
    shown: holdings.Shown = holdings.NOTHING_SHOWN
    days: pnl.Days = field(default_factory=dict)
    peak: Peak = Peak()
    recorded: Mapping[str, Decimal] = field(default_factory=dict)  # By what was traded.
    record_due_ns: int = 0
    judged: Peak | None = None  # The peak that was last found not worth a record.
    records: int = 0
    through: int = 0
    is_caught_up: bool = False
    repeats: Repeats = field(default_factory=Repeats)
    # What was said last; said again as it is until something changes or its time is over.
    snapshot: AccountSnapshot | None = None
    report: PnlReport | None = None
    is_changed: bool = True
    same_until_ns: int = 0
    point_due_ns: int = 0  # When the account's course is recorded next.


def handle(state: State, message: Inbox, now_ns: int) -> Step[State]:  # noqa: C901, PLR0912 - one line each
    """Return the state, changed in place, and what to say."""
    match message:
        case BookTop():
            known = state.tops.get(message.pair)
            if known is not None and known.bid == message.bid and known.ask == message.ask:
                return Step(state)
            state.tops[message.pair] = message
        case Woken():
            return Step(state, _say(state, now_ns))
        case Fill():
            _fill(state, message)
        case Balances():
            state.accounts = holdings.state(state.accounts, message.balances, message.at_ns)
        case Opening():
            state.accounts = holdings.state(state.accounts, message.balances, message.at_ns)
            state.accounts = holdings.post(state.accounts, message.postings, message.at_ns)
        case BalancesExplained():
            state.accounts = holdings.explain(state.accounts, message.postings)
        case InstrumentRules():
            if message.instruments == state.instruments:  # Said again for late hearers.
                return Step(state)
            _trade(state, message)
        case Recorded():
            _recall(state, message)
        case CaughtUp():
            is_first = not state.is_caught_up
            state.is_caught_up, state.through, state.is_changed = True, message.head, True
            return Step(state, _say(state, now_ns) if is_first else _soon(state, now_ns))
        case Started():
            state.epoch, state.repeats.said_ns = message.epoch, now_ns
        case PeerBack():
            state.repeats.hearer_came(now_ns)
            return Step(state, _soon(state, now_ns))
        case CommandDone() | RequestExpired() | PeerLost():
            # A record that is late is asked for again by the bus, and is only a comfort.
            return Step(state)
        case _:
            assert_never(message)
    state.is_changed = True
    return Step(state, _soon(state, now_ns))


def _soon(state: State, now_ns: int) -> tuple[Wake, ...]:
    """Ask to speak soon; nothing if it will be soon enough."""
    at_ns = state.repeats.changed(now_ns)
    return () if at_ns is None else (Wake("say", at_ns),)


def _fill(state: State, fill: Fill) -> None:
    """Move the balances by any fill of the account; only our own make positions and profit."""
    state.accounts = holdings.post(state.accounts, fill.postings, fill.at_ns)
    if fill.intent_id is None:
        return
    done = book(state.held.get(fill.pair, Holding()), fill)
    state.held = {**state.held, fill.pair: done.holding}
    state.quotes = {**state.quotes, fill.pair: fill.fee_asset}  # Charges are in the quote asset.
    state.days = pnl.add(state.days, fill, done.realized)


def _trade(state: State, rules: InstrumentRules) -> None:
    """Learn what is traded; equity of something else has a peak of its own."""
    state.instruments = rules.instruments
    named = {value.TRY, *(asset for row in rules.instruments for asset in (row.base, row.quote))}
    traded = tuple(sorted(named))
    if traded != state.traded:
        state.traded = traded
        state.peak = Peak(state.recorded.get(_peak_key(state), ZERO))


def _recall(state: State, fact: Recorded) -> None:
    """Take back what an earlier life recorded."""
    if (fact.owner, fact.kind) != (OWNER, PEAK):
        return
    highest = parse(fact.payload.decode())
    state.recorded, state.judged = {**state.recorded, fact.key: highest}, None
    if fact.key == _peak_key(state):
        state.peak = state.peak.recalled(highest)


def _peak_key(state: State) -> str:
    return ",".join(state.traded)


def _say(state: State, now_ns: int) -> tuple[Struct, ...]:
    """Say where we stand, and ask to do so again; nothing before every fact is known."""
    if not state.is_caught_up:
        return (Wake("say", state.repeats.said(now_ns)),)
    snapshot, report = state.snapshot, state.report
    if snapshot is None or report is None or state.is_changed or now_ns >= state.same_until_ns:
        state.marks = {pair: value.mark_of(top) for pair, top in state.tops.items()}
        state.shown = holdings.show(state.accounts, now_ns, state.shown)
        snapshot = _snapshot(state, now_ns)
        if snapshot.equity is not None:
            state.peak = state.peak.seen(snapshot.equity)
        report = _report(state, now_ns)
        state.is_changed = False  # From here on time alone changes it: a day, or a lead, is over.
        state.same_until_ns = min(state.shown.until_ns, pnl.day_ends_ns(now_ns))
    else:
        snapshot, report = replace(snapshot, at_ns=now_ns), replace(report, at_ns=now_ns)
    again = Wake("say", state.repeats.said(now_ns, state.same_until_ns, state.point_due_ns))
    records = (*_record_course(state, snapshot, report), *_record_peak(state, now_ns))
    state.snapshot, state.report = snapshot, report
    return (Publish("account", snapshot), Publish("pnl", report), *records, again)


def _snapshot(state: State, now_ns: int) -> AccountSnapshot:
    balances = state.shown.balances
    is_known = bool(state.traded and balances)
    return AccountSnapshot(
        through=state.through,
        balances=balances,
        positions=tuple(_position(state, pair) for pair in sorted(state.held)),
        equity_asset=value.TRY,
        equity=value.equity(balances, state.marks, state.traded) if is_known else None,
        at_ns=now_ns,
    )


def _position(state: State, pair: Pair) -> Position:
    held, mark = state.held[pair], state.marks.get(pair)
    return Position(
        pair=pair,
        quantity=Amount(held.quantity),
        average_cost=Price(held.average_cost),
        realized_pnl=Amount(held.realized),
        unrealized_pnl=Amount(value.fit(held.unrealized(mark))),
        mark=mark,
    )


def _report(state: State, now_ns: int) -> PnlReport:
    """Value today's sums, and what is held now, in TRY."""
    day = pnl.day_of(now_ns)
    rates = {asset: value.rate(state.marks, asset) or ZERO for asset in _quote_assets(state)}
    sums = pnl.total(one.times(rates[asset]) for asset, one in state.days.get(day, {}).items())
    unrealized = sum(
        (
            held.unrealized(state.marks.get(pair)) * rates[state.quotes[pair]]
            for pair, held in state.held.items()
        ),
        start=ZERO,
    )
    return PnlReport(
        day=day,
        realized=Amount(value.fit(sums.realized)),
        unrealized=Amount(value.fit(unrealized)),
        fees=Amount(value.fit(sums.fees)),
        turnover=Notional(value.fit(sums.turnover)),
        fills=sums.fills,
        peak_equity=Amount(state.peak.equity),
        drawdown=Amount(state.peak.drawdown),
        at_ns=now_ns,
    )


def _quote_assets(state: State) -> list[Asset]:
    booked = {asset for sums in state.days.values() for asset in sums}
    return sorted({*booked, *state.quotes.values()})


def _record_peak(state: State, now_ns: int) -> tuple[Ask, ...]:
    """Ask execution to keep the highest equity when it rose enough, at most once a minute."""
    if now_ns < state.record_due_ns or state.judged is state.peak:
        return ()
    key = _peak_key(state)
    recorded = state.recorded.get(key, ZERO)
    if state.peak.equity <= recorded * RECORD_RISE:
        state.judged = state.peak
        return ()
    state.record_due_ns = now_ns + RECORD_NS
    return (ask_to_record(state, OWNER, PEAK, key, text(state.peak.equity).encode()),)


def _record_course(state: State, snapshot: AccountSnapshot, report: PnlReport) -> tuple[Ask, ...]:
    """Ask execution to keep where the account stands now and then, and how a day ended."""
    asks: tuple[Ask, ...] = ()
    before, account = state.report, state.snapshot
    if before is not None and account is not None and before.day != report.day:
        last = history.payload(history.point_of(account, before))
        asks = (ask_to_record(state, OWNER, history.DIGEST, before.day, last),)
    if report.at_ns >= state.point_due_ns and snapshot.equity is not None:
        state.point_due_ns = report.at_ns + history.EVERY_NS
        now = history.payload(history.point_of(snapshot, report))
        asks += (ask_to_record(state, OWNER, history.EQUITY, history.EQUITY, now),)
    return asks


def health(state: State) -> Health:
    """READY once it has said where we stand."""
    return Health.READY if state.is_caught_up else Health.RECOVERING


def actor() -> Actor[State]:
    """Return accounting before it knows anything; it folds every fact from the first."""
    return Actor(
        name="accounting",
        state=State(),
        handle=handle,
        hears=(
            Hears(source="market_data", topic="mark."),
            Hears(source="market_data", topic="rules"),
            Hears(source="execution", topic="fact", conflate=False),
        ),
        facts=(Opening, Fill, Balances, BalancesExplained, Recorded),
        asks=("execution",),
        needs=("execution", "market_data"),
        watches=HEARERS,
        health=health,
    )


def main(config: Config) -> None:
    """Keep accounts until SIGTERM."""
    place = place_of(config)

    def make(_deliver: Deliver, _peers: PeersView) -> Actor[State]:
        return revived(actor(), place.journal, place.code)

    run(make, place)
