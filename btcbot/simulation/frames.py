"""BTCTurk's WebSocket frames, `[type, object]`, made from the sandbox; texts, as documented."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from btcbot.domain.ids import Pair
from btcbot.domain.instruments import Instrument
from btcbot.domain.money import text
from btcbot.domain.words import Side
from btcbot.simulation.account import Order, Trade
from btcbot.simulation.book import Market
from btcbot.simulation.history import Candle, History, PublicTrade
from btcbot.simulation.shapes import PAIR_IDS, average, fixed, ms, own_trade, percent

Frame = list[Any]
METHOD_CODES: Final = {"limit": 0, "market": 1, "stoplimit": 2, "stopmarket": 3}
USER_ID: Final = 100_001
WELCOME: Final = [991, {"type": 991, "current": "6.0.0", "min": "2.3.0"}]


def result(message: str, *, ok: bool) -> Frame:
    return [100, {"type": 100, "ok": ok, "message": message}]


def login(message: str, *, ok: bool) -> Frame:
    return [114, {"type": 114, "id": 0, "ok": ok, "message": message}]


# --- books ------------------------------------------------------------------------------------


def snapshot(channel: str, pair: Pair, change_set: int, book: tuple[Any, Any]) -> Frame:
    """Return a 431 of (bids, asks), best first."""
    bids, asks = ([{"A": text(q), "P": text(p)} for p, q in rows] for rows in book)
    body = {"CS": change_set, "PS": pair, "AO": asks, "BO": bids}
    return [431, {**body, "channel": channel, "event": pair, "type": 431}]


def difference(pair: Pair, change_set: int, bids: Frame, asks: Frame) -> Frame:
    body = {"CS": change_set, "PS": pair, "AO": asks, "BO": bids}
    return [432, {**body, "channel": "obdiff", "event": pair, "type": 432}]


def changes(old: Mapping[Decimal, Decimal], new: Mapping[Decimal, Decimal]) -> Frame:
    """Return what turns `old` into `new`: 0 changed, 1 new, 3 gone (its amount means nothing)."""
    found = [
        {"CP": 0 if price in old else 1, "P": text(price), "A": text(quantity)}
        for price, quantity in new.items()
        if old.get(price) != quantity
    ]
    gone = [{"CP": 3, "P": text(p), "A": text(q)} for p, q in old.items() if p not in new]
    return found + gone


# --- tickers, trades, candles -----------------------------------------------------------------


def ticker_row(market: Market, history: History) -> dict[str, Any]:
    rules, day, last = market.rules, history.day(), history.last
    return {
        "B": text(market.bid),
        "A": text(market.ask),
        "BA": text(market.bids.get(market.bid, Decimal(0))),
        "AA": text(market.asks.get(market.ask, Decimal(0))),
        "PS": rules.pair,
        "H": text(day.high),
        "L": text(day.low),
        "LA": text(last),
        "O": text(day.open),
        "V": text(day.volume),
        "AV": text(average(day)),
        "D": text(market.ask - day.open),
        "DP": text(percent(day.open, last)),
        "DS": rules.quote,
        "NS": rules.base,
        "PId": PAIR_IDS.get(rules.pair, 99),
    }


def tickers(rows: Iterable[dict[str, Any]]) -> Frame:
    items = [{**row, "Ord": n} for n, row in enumerate(rows)]
    return [401, {"items": items, "channel": "ticker", "event": "all", "type": 401}]


def ticker(row: dict[str, Any]) -> Frame:
    return [402, {**row, "channel": "ticker", "event": row["PS"], "type": 402}]


def trade_list(history: History) -> Frame:
    pair = history.rules.pair
    items = [_trade(trade) for trade in history.trades]
    return [421, {"symbol": pair, "items": items, "channel": "trade", "event": pair, "type": 421}]


def trade(pair: Pair, row: PublicTrade) -> Frame:
    body = {**_trade(row), "PS": pair}
    return [422, {**body, "channel": "trade", "event": pair, "type": 422}]


def _trade(row: PublicTrade) -> dict[str, Any]:
    return {
        "D": str(ms(row.at_ns)),
        "I": str(row.tid),
        "A": fixed(row.quantity, 10),
        "P": fixed(row.price, 10),
        "S": 0 if row.side is Side.SELL else 1,
    }


def candle(pair: Pair, resolution: str, row: Candle) -> Frame:
    return [
        428,
        {
            "D": row.start_s,
            "P": pair,
            "R": resolution,
            "O": text(row.open),
            "H": text(row.high),
            "L": text(row.low),
            "C": text(row.close),
            "V": text(row.volume),
            "channel": "tradeview",
            "event": f"{pair}_{resolution}",
            "type": 428,
        },
    ]


def token_login() -> Frame:
    """Return the 112 to a login by token, obsolete since long and still answered."""
    return [112, {"type": 112, "id": 0, "ok": True, "message": ""}]


def notice(message: str) -> Frame:
    return [801, {"type": 801, "id": 0, "ok": False, "message": message}]


# --- private ----------------------------------------------------------------------------------


def balance_updated(payload: str) -> Frame:
    """Return the 201 that tells to read the balances again."""
    return [201, {"type": 201, "userId": USER_ID, "payload": payload}]


def order(kind: int, row: Order, rules: Instrument, taker_rate: Decimal) -> Frame:
    """Return a 451, 452 or 453 (edited, which API keys cannot); 452 prints sixteen decimals.

    `denomLeft` is what is left in quote, with the taker's fee added (buy) or taken off (sell).
    """
    sign = 1 if row.side is Side.BUY else -1
    price = row.price or row.first_price or row.stop_price
    left = row.left * price * (1 + sign * taker_rate)

    def show(value: Decimal) -> str:
        return fixed(value, 16) if kind == 452 else text(value)

    return [
        kind,
        {
            "type": kind,
            "pairId": PAIR_IDS.get(rules.pair, 99),
            "symbol": row.pair,
            "id": row.id,
            "method": METHOD_CODES[row.method],
            "userId": USER_ID,
            "orderType": 0 if row.side is Side.BUY else 1,
            "price": show(price),
            "amount": show(row.quantity),
            "numLeft": show(row.left),
            "denomLeft": show(left),
            "newOrderClientId": row.client_id,
        },
    ]


def match(row: Trade, method: str) -> Frame:
    """Return the 441 of one execution; no trade id, and nothing of what is left."""
    return [
        441,
        {
            "type": 441,
            "id": row.order_id,
            "user": USER_ID,
            "isBid": row.side is Side.BUY,
            "method": METHOD_CODES[method],
            "pair": PAIR_IDS.get(row.pair, 99),
            "symbol": row.pair,
            "amount": fixed(row.quantity, 10),
            "price": fixed(row.price, 10),
            "clientId": row.client_id,
        },
    ]


def user_trade(row: Trade) -> Frame:
    """Return a 423: the row of own trades; it alone has no type inside."""
    return [423, own_trade(row)]
