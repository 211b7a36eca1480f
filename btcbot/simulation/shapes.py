"""The JSON that BTCTurk sends over REST: numbers here, texts there, as documented.

A Decimal in a shape leaves as an exact JSON number, never by way of a float.
"""

from collections.abc import Iterable, Mapping
from decimal import ROUND_DOWN, Decimal
from typing import Any, Final

import msgspec

from btcbot.domain.ids import Asset
from btcbot.domain.instruments import Instrument
from btcbot.domain.money import half_up, step_of, text
from btcbot.domain.words import Side
from btcbot.simulation.account import Balance, Order, Trade
from btcbot.simulation.book import Market
from btcbot.simulation.history import Candle, History, PublicTrade

Json = Any
ASSET_NAMES: Final = {
    "TRY": "Türk Lirası",  # noqa: RUF001 - its name
    "BTC": "Bitcoin",
    "ETH": "Ethereum",
    "USDT": "Tether",
}
# The ids that are known; the others are made up, in order.
PAIR_IDS: Final = {"BTCTRY": 1, "ETHTRY": 2, "USDTTRY": 18, "BTCUSDT": 19}
AVERAGE_SCALE: Final = 8
encode: Final = msgspec.json.Encoder(decimal_format="number").encode


def good(data: Json, message: str | None = None, code: int | str = 0) -> Json:
    return {"data": data, "success": True, "message": message, "code": code}


def bad(message: str, code: int, *, is_success: bool = False) -> Json:
    """Return the body of a refusal; a 401 says success, of all things."""
    return {"success": is_success, "message": message, "code": code}


def system_error() -> Json:
    """Return the body of a 500."""
    body = {"data": None, "success": False, "message": "SYSTEM_ERROR", "code": 1000}
    return {**body, "extensions": None}


def ms(at_ns: int) -> int:
    return at_ns // 1_000_000


def fixed(value: Decimal, scale: int) -> str:
    """Return `value` with `scale` decimals, padded or cut: how the exchange prints."""
    return format(value.quantize(step_of(scale), ROUND_DOWN), "f")


def number(value: Decimal) -> Decimal:
    """Return `value` so that it leaves as a plain number: no exponent, no trailing zeros."""
    return Decimal(text(value))


def normalized(rules: Instrument) -> str:
    return f"{rules.base}_{rules.quote}"


# --- public -----------------------------------------------------------------------------------


def exchange_info(markets: Iterable[Market], now_ns: int) -> Json:
    markets = list(markets)
    assets = sorted({asset for m in markets for asset in (m.rules.base, m.rules.quote)})
    blocks = [
        {"currencySymbol": asset.title(), "withdrawalDisabled": False, "depositDisabled": False}
        for asset in assets
    ]
    return {
        "timeZone": "UTC",
        "serverTime": ms(now_ns),
        "symbols": [_symbol(market) for market in markets],
        "currencies": [_currency(n, asset) for n, asset in enumerate(assets, 1)],
        "currencyOperationBlocks": blocks,
    }


def _symbol(market: Market) -> Json:
    rules, price = market.rules, market.price
    return {
        "id": PAIR_IDS.get(rules.pair, 99),
        "name": rules.pair,
        "nameNormalized": normalized(rules),
        "status": "TRADING" if rules.is_trading else "HALT",
        "numerator": rules.base,
        "denominator": rules.quote,
        "numeratorScale": rules.quantity_scale,
        "denominatorScale": rules.price_scale,
        "hasFraction": rules.price_scale > 0,
        "filters": [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": "0.0000000000001",
                "maxPrice": "10000000",
                "tickSize": text(rules.tick),
                "minExchangeValue": text(rules.notional_min),
                "minAmount": None,
                "maxAmount": None,
            }
        ],
        "orderMethods": ["MARKET", "LIMIT", "STOP_MARKET", "STOP_LIMIT"],
        "displayFormat": "#,##0." + "0" * rules.price_scale if rules.price_scale else "#,###",
        "commissionFromNumerator": False,
        "order": 999 + PAIR_IDS.get(rules.pair, 99),
        "priceRounding": False,
        "isNew": False,
        "marketPriceWarningThresholdPercentage": 0.25,
        "maximumOrderAmount": None,
        "maximumLimitOrderPrice": number(price * 10),
        "minimumLimitOrderPrice": number(price / 10),
    }


def _currency(identity: int, asset: Asset) -> Json:
    is_fiat = asset == "TRY"
    return {
        "id": identity,
        "symbol": asset,
        "minWithdrawal": 10,
        "minDeposit": 0,
        "precision": 2 if is_fiat else 8,
        "address": {"minLen": None if is_fiat else 25, "maxLen": None if is_fiat else 96},
        "currencyType": "FIAT" if is_fiat else "CRYPTO",
        "tag": {"enable": False, "name": None, "minLen": None, "maxLen": None},
        "color": "#04964e",
        "name": ASSET_NAMES.get(asset, asset),
        "isAddressRenewable": False,
        "getAutoAddressDisabled": is_fiat,
        "isPartialWithdrawalEnabled": True,
        "isNew": False,
    }


def ticker(market: Market, history: History, now_ns: int) -> Json:
    rules, day, last = market.rules, history.day(), history.last
    return {
        "pair": rules.pair,
        "pairNormalized": normalized(rules),
        "timestamp": ms(now_ns),
        "last": number(last),
        "high": number(day.high),
        "low": number(day.low),
        "bid": number(market.bid),
        "ask": number(market.ask),
        "open": number(day.open),
        "volume": number(day.volume),
        "average": number(average(day)),
        "daily": number(market.ask - day.open),
        "dailyPercent": number(percent(day.open, last)),
        "denominatorSymbol": rules.quote,
        "numeratorSymbol": rules.base,
        "order": 999 + PAIR_IDS.get(rules.pair, 99),
    }


def average(candle: Candle) -> Decimal:
    """Return the volume-weighted price; the close when nothing traded."""
    if not candle.volume:
        return candle.close
    return half_up(candle.turnover / candle.volume, AVERAGE_SCALE)


def percent(before: Decimal, after: Decimal) -> Decimal:
    return half_up((after - before) / before * 100, 2)


def levels(rows: Iterable[tuple[Decimal, Decimal]]) -> Json:
    """Return price and amount as texts, the amount padded to eight decimals."""
    return [[text(price), fixed(quantity, 8)] for price, quantity in rows]


def public_trades(history: History, last: int) -> Json:
    return [_public_trade(history.rules, t) for t in list(history.trades)[::-1][:last]]


def _public_trade(rules: Instrument, trade: PublicTrade) -> Json:
    return {
        "pair": rules.pair,
        "pairNormalized": normalized(rules),
        "numerator": rules.base,
        "denominator": rules.quote,
        "date": ms(trade.at_ns),
        "tid": str(trade.tid),
        "price": text(trade.price),
        "amount": text(trade.quantity),
        "side": trade.side,
    }


def ohlc(rules: Instrument, candle: Candle) -> Json:
    """Return a row of the retired daily call: numbers as texts, time in ms."""
    return {
        "pairSymbol": rules.pair,
        "pairNormalized": normalized(rules),
        "time": candle.start_s * 1_000,
        "open": text(candle.open),
        "high": text(candle.high),
        "low": text(candle.low),
        "close": text(candle.close),
        "volume": text(candle.volume),
        "average": text(average(candle)),
        "dailyChangeAmount": text(candle.close - candle.open),
        "dailyChangePercentage": text(percent(candle.open, candle.close)),
    }


def ohlcs(rules: Instrument, candle: Candle) -> Json:
    """Return a daily row of the chart host: all numbers, time in seconds."""
    return {
        "pair": rules.pair,
        "time": candle.start_s,
        "open": number(candle.open),
        "high": number(candle.high),
        "low": number(candle.low),
        "close": number(candle.close),
        "volume": number(candle.volume),
        "total": number(candle.turnover),
        "average": number(average(candle)),
        "dailyChangeAmount": number(candle.close - candle.open),
        "dailyChangePercentage": number(percent(candle.open, candle.close)),
    }


def klines(candles: list[Candle]) -> Json:
    """Return parallel arrays, oldest first."""
    return {
        "s": "ok" if candles else "no_data",
        "t": [row.start_s for row in candles],
        "h": [number(row.high) for row in candles],
        "o": [number(row.open) for row in candles],
        "l": [number(row.low) for row in candles],
        "c": [number(row.close) for row in candles],
        "v": [number(row.volume) for row in candles],
    }


# --- private ----------------------------------------------------------------------------------


def balances(held: Mapping[Asset, Balance], now_ns: int) -> Json:
    return [
        {
            "asset": asset,
            "assetname": ASSET_NAMES.get(asset, asset),
            "balance": text(balance.total),
            "locked": text(balance.locked),
            "free": text(balance.free),
            "orderFund": text(balance.locked),
            "requestFund": "0",
            "precision": 2 if asset == "TRY" else 8,
            "timestamp": ms(now_ns),
        }
        for asset, balance in held.items()
    ]


def order(row: Order, rules: Instrument, *, in_open_list: bool = False) -> Json:
    """Return an order as the lists show it; the list of open ones has no time of creation."""
    price = (row.first_price or row.stop_price) if row.is_market else row.price
    return {
        "id": row.id,
        "price": text(price),
        "amount": text(row.quantity),
        "quantity": text(row.quantity),
        "stopPrice": text(row.stop_price),
        "pairSymbol": row.pair,
        "pairSymbolNormalized": normalized(rules),
        "type": row.side,
        "method": row.method,
        "orderClientId": row.client_id,
        "time": 0 if in_open_list else ms(row.created_ns),
        "updateTime": ms(row.updated_ns),
        "status": row.status,
        "leftAmount": text(row.left),
    }


def single_order(row: Order, rules: Instrument) -> Json:
    """Return an order as it is shown alone: its price is that of its first execution, if any."""
    shape = order(row, rules)
    if row.first_price is not None:
        shape["price"] = text(row.first_price)
    return shape


def submitted(row: Order, rules: Instrument) -> Json:
    return {
        "id": row.id,
        "quantity": text(row.quantity),
        "price": text(row.price),
        "stopPrice": text(row.stop_price) if row.is_stop else None,
        "newOrderClientId": row.client_id,
        "type": row.side,
        "method": row.method,
        "pairSymbol": row.pair,
        "pairSymbolNormalized": normalized(rules),
        "datetime": ms(row.created_ns),
    }


def own_trade(trade: Trade) -> Json:
    """Return an own trade: sells are negative, `amount` is rounded and `preciseAmount` is not."""
    sign = -1 if trade.side is Side.SELL else 1
    return {
        "price": text(trade.price),
        "numeratorSymbol": trade.base,
        "denominatorSymbol": trade.quote,
        "orderType": trade.side,
        "orderId": trade.order_id,
        "orderClientId": trade.client_id,
        "id": trade.id,
        "timestamp": ms(trade.at_ns),
        "amount": text(sign * half_up(trade.quantity, 4)),
        "preciseAmount": number(sign * trade.quantity),
        "fee": format(-trade.fee, "f"),
        "tax": format(-trade.tax, "f"),
    }


def too_many(requests: int, period: str, policy: str, wait_s: int) -> Json:
    details = f"Quota exceeded. Maximum allowed: {requests} per {period}."
    if policy == "account":
        details += f" Please try again in {wait_s} second(s)."
    return {
        "message": "TOO_MANY_REQUESTS",
        "success": False,
        "code": 429,
        "details": details,
        "limit": str(requests),
        "period": period,
        "policy": policy,
    }
