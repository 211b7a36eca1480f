"""Accounting: from fills and balances to positions, profit and equity.

Hears   facts (Fill, Balances, Opening), BookTop on `mark.`
Says    AccountSnapshot, PnlReport
Never   counts a fill twice: the bus gives each fact once, in order
"""

from decimal import Decimal
from typing import assert_never

from msgspec import Struct, field

from actors import CODEC
from btcbot.config import Config
from btcbot.domain.facts import Balances, Fill, Opening
from btcbot.domain.ids import Asset, Pair
from btcbot.domain.messages import (
    AccountSnapshot,
    AssetBalance,
    BookTop,
    InstrumentRules,
    PnlReport,
    Position,
)
from btcbot.domain.money import Amount, Notional, Price
from btcbot.ledger.days import Day, Peak, add, day_of, rise
from btcbot.ledger.positions import Holding, book, turnover
from bus.actor import (
    Actor,
    CaughtUp,
    Deliver,
    Hears,
    PeerBack,
    PeerLost,
    Publish,
    Started,
    Step,
    Wake,
    Woken,
)
from bus.runtime import PeersView, Place, run

Inbox = (
    BookTop | Fill | Balances | Opening | InstrumentRules | CaughtUp | PeerLost | PeerBack
    | Started | Woken
)  # fmt: skip

SAY_NS = 1_000_000_000
TRY = Asset("TRY")
ZERO = Decimal(0)


class State(Struct, kw_only=True):
    """What accounting remembers; owned, changed in place."""

    marks: dict[Pair, Price] = field(default_factory=dict)
    quotes: dict[Pair, tuple[Asset, Asset]] = field(default_factory=dict)  # Base and quote.
    holdings: dict[Pair, Holding] = field(default_factory=dict)
    balances: dict[Asset, AssetBalance] = field(default_factory=dict)
    day: Day = Day(name="")
    peak: Peak = Peak()
    through: int = 0
    is_caught_up: bool = False


def handle(state: State, message: Inbox, now_ns: int) -> Step[State]:  # noqa: C901 - one a line
    """Return the state, changed in place, and what to say."""
    match message:
        case BookTop():
            state.marks[message.pair] = Price((message.bid + message.ask) / 2)
        case Fill():
            _fill(state, message)
        case Balances():
            state.balances = {row.asset: row for row in message.balances}
        case Opening():
            state.balances = {row.asset: row for row in message.balances}
        case InstrumentRules():
            state.quotes = {r.pair: (r.base, r.quote) for r in message.instruments}
        case CaughtUp():
            state.is_caught_up, state.through = True, message.head
        case Woken():
            wake = Wake("say", now_ns + SAY_NS)
            return Step(state, (*_said(state, now_ns), wake) if state.is_caught_up else (wake,))
        case Started():
            return Step(state, (Wake("say", now_ns + SAY_NS),))
        case PeerLost() | PeerBack():
            pass
        case _:
            assert_never(message)
    return Step(state)


def _fill(state: State, fill: Fill) -> None:
    _move_balances(state, fill)
    if fill.intent_id is None:
        return
    done = book(state.holdings.get(fill.pair, Holding()), fill)
    state.holdings[fill.pair] = done.holding
    rate = _rate(state, fill.fee_asset)
    name = day_of(fill.event_ns)
    if name != state.day.name:
        state.day = Day(name=name)
    if rate is not None:
        charges = (fill.fee + fill.tax) * rate
        state.day = add(state.day, done.realized * rate, charges, turnover(fill) * rate)


def _move_balances(state: State, fill: Fill) -> None:
    """Follow a fill at once; the next statement of the exchange replaces this."""
    for posting in fill.postings:
        if posting.account == "asset":
            row = state.balances.get(posting.asset)
            total = (row.total if row else ZERO) + posting.amount
            free = (row.free if row else ZERO) + posting.amount
            state.balances[posting.asset] = AssetBalance(
                posting.asset, Amount(total), Amount(max(free, ZERO))
            )


def _said(state: State, now_ns: int) -> tuple[Publish, ...]:
    """Say where we stand, once a second."""
    name = day_of(now_ns)
    if name != state.day.name:
        state.day = Day(name=name)
    unrealized = sum(
        (h.unrealized(state.marks.get(p)) * (_pair_rate(state, p) or ZERO)
         for p, h in state.holdings.items()),
        start=ZERO,
    )  # fmt: skip
    equity = _equity(state)
    if equity is not None:
        state.peak = rise(state.peak, equity)
    snapshot = AccountSnapshot(
        through=state.through,
        balances=tuple(state.balances[asset] for asset in sorted(state.balances)),
        positions=tuple(_position(state, pair) for pair in sorted(state.holdings)),
        equity_asset=TRY,
        equity=None if equity is None else Amount(equity),
        at_ns=now_ns,
    )
    day = state.day
    report = PnlReport(
        day=day.name,
        realized=Amount(day.realized),
        unrealized=Amount(unrealized),
        fees=Amount(day.fees),
        turnover=Notional(day.turnover),
        fills=day.fills,
        peak_equity=Amount(state.peak.value),
        drawdown=Amount(state.peak.drawdown),
        at_ns=now_ns,
    )
    return Publish("account", snapshot), Publish("pnl", report)


def _position(state: State, pair: Pair) -> Position:
    holding, mark = state.holdings[pair], state.marks.get(pair)
    return Position(
        pair=pair,
        quantity=Amount(holding.quantity),
        average_cost=Price(_short(holding.average_cost)),
        realized_pnl=Amount(_short(holding.realized)),
        unrealized_pnl=Amount(_short(holding.unrealized(mark))),
        mark=mark,
    )


def _short(value: Decimal) -> Decimal:
    """Return a quotient fit for the wire; the state keeps every digit."""
    return value.quantize(Decimal("1e-8")) if value.as_tuple().exponent < -8 else value  # type: ignore[operator]


def _equity(state: State) -> Decimal | None:
    """Return the value of all that the configured pairs trade, in TRY; None without a price.

    Other assets of the account are no business of btcbot's and stand in balances alone.
    """
    traded = {asset for pair in state.quotes.values() for asset in pair}
    if not traded:
        return None
    total = ZERO
    for asset, row in state.balances.items():
        rate = _rate(state, asset) if asset in traded else ZERO
        if rate is None:
            return None
        total += row.total * rate
    return _short(total)


def _pair_rate(state: State, pair: Pair) -> Decimal | None:
    quoted = state.quotes.get(pair)
    return _rate(state, quoted[1]) if quoted else None


def _rate(state: State, asset: Asset) -> Decimal | None:
    """Return TRY per unit of `asset`, directly or over USDT; None without a price."""
    if asset == TRY:
        return Decimal(1)
    direct = state.marks.get(Pair(f"{asset}TRY"))
    if direct is not None:
        return direct
    in_usdt, usdt = state.marks.get(Pair(f"{asset}USDT")), state.marks.get(Pair("USDTTRY"))
    return in_usdt * usdt if in_usdt is not None and usdt is not None else None


def actor() -> Actor[State]:
    """Return accounting; it folds every fact of a life from the first."""
    return Actor(
        name="accounting",
        state=State(),
        handle=handle,
        hears=(
            Hears(source="market_data", topic="mark."),
            Hears(source="market_data", topic="rules"),
            Hears(source="execution", topic="fact", conflate=False),
        ),
        facts=(Fill, Balances, Opening),
        needs=("execution", "market_data"),
    )


def main(config: Config) -> None:
    """Keep accounts until SIGTERM."""

    def make(_deliver: Deliver, _peers: PeersView) -> Actor[State]:
        return actor()

    run(
        make,
        Place(run=config.run, journal=config.journal, quarantine=config.quarantine, codec=CODEC),
    )
