"""The public status document, from what control has heard; pure, time is an argument.

Shapes are public (product documentation): decimals are strings, times UTC with nanoseconds.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from msgspec import Struct

from btcbot.domain.facts import PauseChanged, TradingStateChanged
from btcbot.domain.ids import IntentId, Pair
from btcbot.domain.messages import AccountSnapshot, FeedState, PnlReport, RiskState, Scope
from btcbot.domain.money import text
from btcbot.domain.words import OrderState

ACTORS = (
    "market_data", "strategy", "risk_gate", "execution", "accounting", "control", "dashboard",
)  # fmt: skip
SILENCE_S = 1.0
Heard = tuple[int, str, float]  # pid, state, heartbeat age in seconds


class Picture(Struct, frozen=True, kw_only=True):
    """What control knows."""

    mode: str
    pairs: tuple[Pair, ...]
    heard: Mapping[str, Heard]
    restarts: Mapping[str, int]
    rss_mb: Mapping[str, float | None]
    orders: Mapping[IntentId, tuple[OrderState, int]]
    trading: TradingStateChanged | None
    pauses: tuple[PauseChanged, ...]
    account: AccountSnapshot | None
    pnl: PnlReport | None
    risk: RiskState | None
    feeds: Mapping[Pair, FeedState]


def stamp(at_ns: int) -> str:
    """Return "2026-11-22T18:00:00.000000000Z"."""
    seconds, fraction = divmod(at_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{fraction:09d}Z"


def status_of(picture: Picture, now_ns: int) -> dict[str, Any]:
    """Return the document."""
    actors = [_actor(picture, name) for name in ACTORS]
    trading, account, pnl = picture.trading, picture.account, picture.pnl
    return {
        "ts": stamp(now_ns),
        "mode": picture.mode,
        "ready": all(row["state"] == "READY" for row in actors),
        "trading_state": trading.state if trading else "PAUSED",
        "trading_state_set": {
            "by": trading.by if trading else "",
            "reason": trading.reason if trading else "execution was not heard yet",
            "ts": stamp(trading.at_ns) if trading else None,
        },
        "actors": actors,
        "feeds": [_feed(picture, pair, now_ns) for pair in picture.pairs],
        "orders": _orders(picture, now_ns),
        "balances": [
            {"asset": row.asset, "total": text(row.total), "free": text(row.free)}
            for row in (account.balances if account else ())
        ],
        "positions": [
            {
                "pair": row.pair,
                "quantity": text(row.quantity),
                "average_cost": text(row.average_cost),
                "realized_pnl": text(row.realized_pnl),
                "unrealized_pnl": text(row.unrealized_pnl),
            }
            for row in (account.positions if account else ())
        ],
        "equity": {
            "asset": account.equity_asset if account else "TRY",
            "value": text(account.equity) if account and account.equity is not None else None,
        },
        "pnl_day": {
            "day": pnl.day if pnl else None,
            "realized": _number(pnl.realized if pnl else None),
            "unrealized": _number(pnl.unrealized if pnl else None),
            "fees": _number(pnl.fees if pnl else None),
            "turnover": _number(pnl.turnover if pnl else None),
            "drawdown": _number(pnl.drawdown if pnl else None),
            "fills": pnl.fills if pnl else 0,
        },
        "account_age_s": (now_ns - account.at_ns) / 1e9 if account else None,
        "limits": [
            {"name": row.name, "used": text(row.used), "limit": text(row.limit)}
            for row in (picture.risk.limits if picture.risk else ())
        ],
        "refusals": dict(picture.risk.refusals if picture.risk else ()),
        "pauses": [
            {
                "scope": _scope(pause.scope),
                "reason": pause.reason,
                "by": pause.by,
                "until": None if pause.until_ns is None else stamp(pause.until_ns),
            }
            for pause in picture.pauses
        ],
    }


def _actor(picture: Picture, name: str) -> dict[str, Any]:
    pid, state, age_s = picture.heard.get(name, (None, "STOPPED", None))
    if age_s is not None and age_s > SILENCE_S:
        state = "STOPPED"
    return {
        "name": name,
        "pid": pid,
        "state": state,
        "heartbeat_age_s": None if age_s is None else round(age_s, 3),
        "restarts": picture.restarts.get(name, 0),
        "rss_mb": picture.rss_mb.get(name),
    }


def _feed(picture: Picture, pair: Pair, now_ns: int) -> dict[str, Any]:
    feed = picture.feeds.get(pair)
    if feed is None:
        return {"pair": pair, "state": "STARTING", "age_s": None, "reason": "not heard yet"}
    age_s = round((now_ns - feed.confirmed_ns) / 1e9, 3) if feed.confirmed_ns else None
    silent = now_ns - feed.at_ns > 5_000_000_000
    return {
        "pair": pair,
        "state": "STALE" if silent else feed.status,
        "age_s": age_s,
        "reason": "market_data is silent" if silent else feed.reason,
    }


def _orders(picture: Picture, now_ns: int) -> dict[str, Any]:
    states = list(picture.orders.values())
    unknown = [since for state, since in states if state is OrderState.UNKNOWN]
    return {
        "open": len(states) - len(unknown),
        "unknown": len(unknown),
        "oldest_unknown_age_s": (now_ns - min(unknown)) / 1e9 if unknown else None,
    }


def _scope(scope: Scope) -> dict[str, str]:
    parts = {"pair": scope.pair, "strategy": scope.strategy, "side": scope.side}
    return {name: part for name, part in parts.items() if part is not None}


def _number(value: Decimal | None) -> str:
    return "0" if value is None else text(value)
