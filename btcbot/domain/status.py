"""The public status document: what was heard, folded, and shown; pure, time is an argument.

Shapes are public (product documentation): decimals are strings, times UTC with nanoseconds, and
what is not known is null.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, assert_never

from msgspec import Struct, field

from btcbot.domain.facts import (
    KillCompleted,
    LimitTightened,
    OrderAbsent,
    OrderAcked,
    OrderClosed,
    OrderNotSent,
    OrderRejected,
    OrderSubmitting,
    OrderUnknown,
    OrderZombie,
    PauseChanged,
    RiskModeSet,
    TradingStateChanged,
)
from btcbot.domain.ids import IntentId, Pair
from btcbot.domain.messages import (
    AccountSnapshot,
    BookTop,
    FeedState,
    PnlReport,
    RiskState,
    Scope,
    VenueState,
)
from btcbot.domain.money import text
from btcbot.domain.tightening import mode_at
from btcbot.domain.words import FeedStatus, OrderState, RiskMode, TradingState

ACTORS: Final = (
    "market_data", "strategy", "risk_gate", "execution", "accounting", "control", "dashboard",
)  # fmt: skip
SILENCE_S: Final = 1.0
FEED_SILENCE_NS: Final = 5_000_000_000

Json = dict[str, Any]
OrderFact = (
    OrderSubmitting | OrderAcked | OrderUnknown | OrderZombie | OrderClosed | OrderRejected
    | OrderNotSent | OrderAbsent
)  # fmt: skip
Shown = (
    BookTop | FeedState | AccountSnapshot | PnlReport | RiskState | TradingStateChanged
    | KillCompleted | PauseChanged | LimitTightened | RiskModeSet | OrderFact | VenueState
)  # fmt: skip
SHOWN_FACTS: Final = (
    OrderSubmitting, OrderAcked, OrderUnknown, OrderZombie, OrderClosed, OrderRejected,
    OrderNotSent, OrderAbsent, TradingStateChanged, KillCompleted, PauseChanged,
    LimitTightened, RiskModeSet,
)  # fmt: skip


class View(Struct, kw_only=True):
    """What was heard of the fleet; owned by one actor, changed in place by `learn`."""

    mode: str
    pairs: tuple[Pair, ...]
    orders: dict[IntentId, tuple[OrderState, int]] = field(default_factory=dict)  # Live; since.
    trading: TradingStateChanged | None = None
    is_killing: bool = False  # A kill was ordered, and not every order is proven closed yet.
    pauses: dict[Scope, PauseChanged] = field(default_factory=dict)
    tightened: dict[str, LimitTightened] = field(default_factory=dict)  # The last of each limit.
    risk_mode: RiskModeSet | None = None  # What a person set.
    account: AccountSnapshot | None = None
    pnl: PnlReport | None = None
    risk: RiskState | None = None
    feeds: dict[Pair, FeedState] = field(default_factory=dict)
    confirmed_ns: dict[Pair, int] = field(default_factory=dict)  # When prices were current last.
    venue: VenueState | None = None


class Life(Struct, frozen=True, kw_only=True):
    """One actor's process, as its heartbeats and the kernel say."""

    pid: int
    state: str
    age_s: float  # Of the last heartbeat.
    restarts: int
    rss_mb: float | None
    standby_pid: int | None = None  # Who waits for its place, of execution.


def learn(view: View, message: Shown) -> None:  # noqa: C901, PLR0912 - one line each
    """Take `message` into `view`."""
    match message:
        case BookTop():
            view.confirmed_ns[message.pair] = message.confirmed_ns
        case FeedState():
            view.feeds[message.pair] = message
            view.confirmed_ns[message.pair] = message.confirmed_ns
        case AccountSnapshot():
            view.account = message
        case PnlReport():
            view.pnl = message
        case RiskState():
            view.risk = message
        case VenueState():
            view.venue = message
        case TradingStateChanged():
            view.trading = message
            view.is_killing = message.state is TradingState.KILLED
        case KillCompleted():
            view.is_killing = False
        case PauseChanged():
            view.pauses.pop(message.scope, None)
            if message.is_paused:
                view.pauses[message.scope] = message
        case LimitTightened():
            view.tightened[message.name] = message
        case RiskModeSet():
            view.risk_mode = message
        case _:
            _order(view, message)


def _order(view: View, fact: OrderFact) -> None:
    match fact:
        case OrderSubmitting():
            view.orders[fact.intent.intent_id] = (OrderState.SENDING, fact.at_ns)
        case OrderAcked():
            view.orders[fact.intent_id] = (OrderState.OPEN, fact.at_ns)
        case OrderUnknown():
            view.orders[fact.intent_id] = (OrderState.UNKNOWN, fact.at_ns)
        case OrderZombie():
            view.orders[fact.intent_id] = (OrderState.ZOMBIE, fact.at_ns)
        case OrderClosed() | OrderRejected() | OrderNotSent() | OrderAbsent():
            view.orders.pop(fact.intent_id, None)
        case _:
            assert_never(fact)


def stamp(at_ns: int) -> str:
    """Return "2026-11-22T18:00:00.000000000Z"."""
    seconds, fraction = divmod(at_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{fraction:09d}Z"


def status_of(view: View, lives: Mapping[str, Life], now_ns: int) -> Json:
    """Return the document; an actor that is not in `lives` was not heard of."""
    actors = [_actor(name, lives.get(name)) for name in ACTORS]
    account, risk = view.account, view.risk
    return {
        "ts": stamp(now_ns),
        "mode": view.mode,
        "ready": all(row["state"] == "READY" for row in actors),
        **_trading(view),
        "actors": actors,
        "feeds": [_feed(view, pair, now_ns) for pair in view.pairs],
        "orders": _orders(view, now_ns),
        **_account(account),
        "account_age_s": _age_s(account.at_ns if account else None, now_ns),
        "pnl_day": _pnl(view.pnl),
        "limits": [
            {"name": row.name, "used": text(row.used), "limit": text(row.limit)}
            for row in (risk.limits if risk else ())
        ],
        "refusals": {str(rule): count for rule, count in (risk.refusals if risk else ())},
        "limits_age_s": _age_s(risk.at_ns if risk else None, now_ns),
        "risk": {**_risk(risk), "override": _override(view.risk_mode, now_ns)},
        "tightened": [_tightened(fact) for fact in view.tightened.values()],
        "pauses": [_pause(pause) for pause in view.pauses.values()],
        **_venue(view.venue, now_ns),
    }


def _trading(view: View) -> Json:
    """Nobody may assume that orders are sent before execution was heard to say so."""
    trading = view.trading
    if trading is None:
        unset = {"by": None, "reason": "execution was not heard yet", "ts": None}
        return {"trading_state": "PAUSED", "trading_state_set": unset, "killing": False}
    return {
        "trading_state": trading.state.value,
        "trading_state_set": {
            "by": trading.by,
            "reason": trading.reason,
            "ts": stamp(trading.at_ns),
        },
        "killing": view.is_killing,
    }


def _actor(name: str, life: Life | None) -> Json:
    return _process(name, life) | (_standby(life) if name == "execution" else {})


def _standby(life: Life | None) -> Json:
    pid = life.standby_pid if life else None
    return {"standby": None if pid is None else {"pid": pid}}


def _process(name: str, life: Life | None) -> Json:
    if life is None:
        return {
            "name": name, "pid": None, "state": "STOPPED", "heartbeat_age_s": None, "restarts": 0,
            "rss_mb": None,
        }  # fmt: skip
    return {
        "name": name,
        "pid": life.pid,
        "state": "STOPPED" if life.age_s > SILENCE_S else life.state,
        "heartbeat_age_s": round(life.age_s, 3),
        "restarts": life.restarts,
        "rss_mb": life.rss_mb,
    }


def _feed(view: View, pair: Pair, now_ns: int) -> Json:
    feed = view.feeds.get(pair)
    if feed is None:
        starting = FeedStatus.STARTING.value
        return {"pair": pair, "state": starting, "age_s": None, "reason": "not heard yet"}
    # A feed that is not LIVE is said each second, and the price of one that is: what was said last
    # may no longer be so.
    confirmed_ns = view.confirmed_ns[pair]
    heard_ns = max(feed.at_ns, confirmed_ns)
    is_silent = now_ns - heard_ns > FEED_SILENCE_NS and feed.status is not FeedStatus.DOWN
    return {
        "pair": pair,
        "state": (FeedStatus.STALE if is_silent else feed.status).value,
        "age_s": _age_s(confirmed_ns or None, now_ns),
        "reason": "market_data is silent" if is_silent else feed.reason,
    }


def _orders(view: View, now_ns: int) -> Json:
    unknown = [since for state, since in view.orders.values() if state is OrderState.UNKNOWN]
    return {
        "open": len(view.orders) - len(unknown),
        "unknown": len(unknown),
        "oldest_unknown_age_s": _age_s(min(unknown, default=None), now_ns),
    }


def _account(account: AccountSnapshot | None) -> Json:
    if account is None:
        equity = {"asset": "TRY", "value": None}
        return {"balances": [], "positions": [], "equity": equity}
    return {
        "balances": [
            {"asset": row.asset, "total": text(row.total), "free": text(row.free)}
            for row in account.balances
        ],
        "positions": [
            {
                "pair": row.pair,
                "quantity": text(row.quantity),
                "average_cost": text(row.average_cost),
                "unrealized_pnl": text(row.unrealized_pnl),
                "realized_pnl": text(row.realized_pnl),
                "mark": _number(row.mark),
            }
            for row in account.positions
        ],
        "equity": {"asset": account.equity_asset, "value": _number(account.equity)},
    }


def _pnl(pnl: PnlReport | None) -> Json:
    if pnl is None:
        names = ("day", "realized", "unrealized", "fees", "turnover", "peak_equity", "drawdown")
        return {**dict.fromkeys(names), "fills": None}
    return {
        "day": pnl.day,
        "realized": text(pnl.realized),
        "unrealized": text(pnl.unrealized),
        "fees": text(pnl.fees),
        "turnover": text(pnl.turnover),
        "peak_equity": text(pnl.peak_equity),
        "drawdown": text(pnl.drawdown),
        "fills": pnl.fills,
    }


def _venue(venue: VenueState | None, now_ns: int) -> Json:
    if venue is None:
        names = ("private_socket", "reason", "clock_offset_ms", "clock_error_ms", "trouble")
        return {"rate": [], "exchange": {**dict.fromkeys(names), "drift": None, "age_s": None}}
    return {
        "rate": [
            {
                "group": row.group,
                "window_s": row.window_s,
                "used": row.used,
                "allowed": row.allowed,
                "documented": row.documented,
                "closed_s": row.closed_s,
            }
            for row in venue.rate
        ],
        "exchange": {
            "private_socket": venue.private_socket.value,
            "reason": venue.socket_reason,
            "clock_offset_ms": venue.clock_offset_ms,
            "clock_error_ms": venue.clock_error_ms,
            "trouble": venue.trouble,
            "drift": venue.drift,
            "age_s": _age_s(venue.at_ns, now_ns),
        },
    }


def _risk(risk: RiskState | None) -> Json:
    """Nobody may assume that buys pass before risk_gate was heard to say so."""
    if risk is None:
        unset: Json = {"concerns": [], "level": None, "anomalies": []}
        return {"mode": RiskMode.OBSERVE.value, "size_bps": "0", **unset}
    return {
        "mode": risk.mode.value,
        "size_bps": text(risk.size_bps),
        "concerns": [concern.value for concern in risk.concerns],
        "level": risk.level,
        "anomalies": [anomaly.value for anomaly in risk.anomalies],
    }


def _override(fact: RiskModeSet | None, now_ns: int) -> Json | None:
    mode = mode_at(fact, now_ns)
    if fact is None or mode is RiskMode.NORMAL:
        return None
    until = None if fact.until_ns is None else stamp(fact.until_ns)
    return {"mode": mode.value, "until": until, "by": fact.by, "reason": fact.reason}


def _tightened(fact: LimitTightened) -> Json:
    return {
        "name": fact.name,
        "value": text(fact.value),
        "by": fact.by,
        "reason": fact.reason,
        "ts": stamp(fact.at_ns),
        "at_ns": fact.at_ns,
    }


def _pause(pause: PauseChanged) -> Json:
    return {
        "scope": scope_of(pause.scope),
        "reason": pause.reason,
        "by": pause.by,
        "until": None if pause.until_ns is None else stamp(pause.until_ns),
    }


def scope_of(scope: Scope) -> dict[str, str]:
    """Return only the parts that are given; {} covers everything."""
    parts = {"pair": scope.pair, "strategy": scope.strategy, "side": scope.side}
    return {name: str(part) for name, part in parts.items() if part is not None}


def _number(value: Decimal | None) -> str | None:
    return None if value is None else text(value)


def _age_s(at_ns: int | None, now_ns: int) -> float | None:
    return None if at_ns is None else max(0.0, round((now_ns - at_ns) / 1e9, 3))
