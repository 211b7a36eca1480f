"""The JSON that BTCTurk sends, made from the sandbox: numbers here, texts there, as documented."""

import math
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from btcbot.domain.instruments import Instrument
from btcbot.domain.money import step_of, text
from btcbot.domain.words import Side
from btcbot.simulation.account import Account, Order, Trade
from btcbot.simulation.sandbox import PairView, PublicTrade, Sandbox

Json = Any
# The exchange writes its names in Turkish.
ASSET_NAMES = {"TRY": "Türk Lirası", "BTC": "Bitcoin", "ETH": "Ethereum", "USDT": "Tether"}  # noqa: RUF001
PAIR_IDS = {"BTCTRY": 1, "ETHTRY": 2, "USDTTRY": 18, "BTCUSDT": 19}
METHOD_CODES = {"limit": 0, "market": 1, "stoplimit": 2, "stopmarket": 3}
USER_ID = 100_001


def ms(at_ns: int) -> int:
    return at_ns // 1_000_000


def good(data: Json, message: str | None = None, code: int | str = 0) -> Json:
    return {"data": data, "success": True, "message": message, "code": code}


def fixed(value: Decimal, scale: int) -> str:
    """Return `value` with `scale` decimals, padded or cut: how the exchange prints."""
    return format(value.quantize(step_of(scale)), "f")


def normalized(rules: Instrument) -> str:
    return f"{rules.base}_{rules.quote}"


# --- public REST ------------------------------------------------------------------------------


def exchange_info(sandbox: Sandbox, now_ns: int) -> Json:
    markets = sandbox.exchange.markets
    symbols = [_symbol(market.rules, market.price) for market in markets.values()]
    assets = sorted({a for m in markets.values() for a in (m.rules.base, m.rules.quote)})
    return {
        "timeZone": "UTC",
        "serverTime": ms(now_ns),
        "symbols": symbols,
        "currencies": [_currency(n, asset) for n, asset in enumerate(assets, 1)],
        "currencyOperationBlocks": [
            {"currencySymbol": asset.title(), "withdrawalDisabled": False, "depositDisabled": False}
            for asset in assets
        ],
    }


def _symbol(rules: Instrument, price: Decimal) -> Json:
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
        "displayFormat": "#,###",
        "commissionFromNumerator": False,
        "order": 1000,
        "priceRounding": False,
        "isNew": False,
        "marketPriceWarningThresholdPercentage": 0.25,
        "maximumOrderAmount": None,
        "maximumLimitOrderPrice": float(price * 10),
        "minimumLimitOrderPrice": float(price / 10),
    }


def _currency(number: int, asset: str) -> Json:
    return {
        "id": number,
        "symbol": asset,
        "minWithdrawal": 10,
        "minDeposit": 0,
        "precision": 2 if asset == "TRY" else 8,
        "address": {"minLen": None, "maxLen": None},
        "currencyType": "FIAT" if asset == "TRY" else "CRYPTO",
        "tag": {"enable": False, "name": None, "minLen": None, "maxLen": None},
        "color": "#04964e",
        "name": ASSET_NAMES.get(asset, asset),
        "isAddressRenewable": False,
        "getAutoAddressDisabled": True,
        "isPartialWithdrawalEnabled": True,
        "isNew": False,
    }


def ticker(sandbox: Sandbox, view: PairView, now_ns: int) -> Json:
    market = sandbox.exchange.markets[view.rules.pair]
    last = market.last or market.price
    return {
        "pair": view.rules.pair,
        "pairNormalized": normalized(view.rules),
        "timestamp": ms(now_ns),
        "last": float(last),
        "high": float(max(view.high, last)),
        "low": float(min(view.low, last)),
        "bid": float(market.bid),
        "ask": float(market.ask),
        "open": float(view.open),
        "volume": float(view.volume),
        "average": float((view.high + view.low) / 2),
        "daily": float(market.ask - view.open),
        "dailyPercent": round(float((last - view.open) / view.open * 100), 2),
        "denominatorSymbol": view.rules.quote,
        "numeratorSymbol": view.rules.base,
        "order": 1000,
    }


def order_book(sandbox: Sandbox, view: PairView, limit: int, now_ns: int) -> Json:
    bids, asks = sandbox.window(view.rules.pair)
    return {
        "timestamp": ms(now_ns),
        "bids": [[text(price), fixed(quantity, 8)] for price, quantity in bids[:limit]],
        "asks": [[text(price), fixed(quantity, 8)] for price, quantity in asks[:limit]],
    }


def public_trades(view: PairView, last: int) -> Json:
    return [
        {
            "pair": view.rules.pair,
            "pairNormalized": normalized(view.rules),
            "numerator": view.rules.base,
            "denominator": view.rules.quote,
            "date": ms(trade.at_ns),
            "tid": str(trade.tid),
            "price": text(trade.price),
            "amount": text(trade.quantity),
            "side": trade.side,
        }
        for trade in list(view.trades)[::-1][:last]
    ]


# --- candles: a smooth, made-up past before the sandbox began -----------------------------------


def candle(view: PairView, start_s: int, seconds: int) -> tuple[float, ...]:
    """Return (open, high, low, close, volume) of one candle; the same for the same question."""
    opened, closed = _past(view, start_s), _past(view, start_s + seconds)
    wick = abs(closed - opened) * 0.3 + opened * 1e-4
    high, low = max(opened, closed) + wick, min(opened, closed) - wick
    return opened, high, low, closed, round(1.5 + math.sin(start_s / 900), 6)


def _past(view: PairView, at_s: int) -> float:
    wave = 0.01 * math.sin(at_s / 5_000) + 0.004 * math.sin(at_s / 700)
    return round(float(view.open) * (1 + wave), view.rules.price_scale)


# --- private REST -----------------------------------------------------------------------------


def balances(account: Account, now_ns: int) -> Json:
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
        for asset, balance in account.balances.items()
    ]


def order(row: Order, rules: Instrument, *, in_open_list: bool = False) -> Json:
    return {
        "id": row.id,
        "price": text(row.price),
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


def submitted(row: Order, rules: Instrument) -> Json:
    return {
        "id": row.id,
        "quantity": text(row.quantity),
        "price": text(row.price),
        "stopPrice": text(row.stop_price) if row.stop_price else None,
        "newOrderClientId": row.client_id,
        "type": row.side,
        "method": row.method,
        "pairSymbol": row.pair,
        "pairSymbolNormalized": normalized(rules),
        "datetime": ms(row.created_ns),
    }


def own_trade(trade: Trade) -> str:
    """Return one row as JSON text: `preciseAmount` is a number that must not pass a float."""
    sign = "-" if trade.side is Side.SELL else ""
    precise = f"{sign}{text(trade.quantity)}"
    amount = f"{sign}{fixed(trade.quantity, 4)}"
    return (
        f'{{"price":"{text(trade.price)}","numeratorSymbol":"{trade.base}",'
        f'"denominatorSymbol":"{trade.quote}","orderType":"{trade.side}",'
        f'"orderId":{trade.order_id},"orderClientId":"{trade.client_id}","id":{trade.id},'
        f'"timestamp":{ms(trade.at_ns)},"amount":"{amount}","preciseAmount":{precise},'
        f'"fee":"{fixed(-trade.fee, 8)}","tax":"{fixed(-trade.tax, 8)}"}}'
    )


# --- WebSocket --------------------------------------------------------------------------------


def levels(rows: Iterable[tuple[Decimal, Decimal]]) -> Json:
    return [{"A": text(quantity), "P": text(price)} for price, quantity in rows]


def changes(old: dict[Decimal, Decimal], new: dict[Decimal, Decimal]) -> Json:
    """Return what turns `old` into `new`: 0 changed, 1 new, 3 removed (the amount is void)."""
    found = [
        {"CP": 0 if price in old else 1, "P": text(price), "A": text(quantity)}
        for price, quantity in new.items()
        if old.get(price) != quantity
    ]
    gone = [{"CP": 3, "P": text(p), "A": text(q)} for p, q in old.items() if p not in new]
    return found + gone


def ticker_row(sandbox: Sandbox, view: PairView) -> Json:
    market = sandbox.exchange.markets[view.rules.pair]
    last = market.last or market.price
    best_bid = market.bids.get(market.bid, Decimal(0))
    best_ask = market.asks.get(market.ask, Decimal(0))
    return {
        "B": text(market.bid), "A": text(market.ask), "BA": text(best_bid), "AA": text(best_ask),
        "PS": view.rules.pair, "H": text(view.high), "L": text(view.low), "LA": text(last),
        "O": text(view.open), "V": text(view.volume), "AV": text((view.high + view.low) / 2),
        "D": text(market.ask - view.open),
        "DP": fixed((last - view.open) / view.open * 100, 2),
        "DS": view.rules.quote, "NS": view.rules.base, "PId": PAIR_IDS.get(view.rules.pair, 99),
    }  # fmt: skip


def public_trade(trade: PublicTrade) -> Json:
    return {
        "D": str(ms(trade.at_ns)),
        "I": str(trade.tid),
        "A": fixed(trade.quantity, 10),
        "P": fixed(trade.price, 10),
        "S": 0 if trade.side is Side.SELL else 1,
    }


def order_frame(kind: int, row: Order, account: Account, rules: Instrument) -> Json:
    """Return a 451 or 452; the latter prints sixteen decimals."""
    show = text if kind == 451 else lambda value: fixed(value, 16)
    return [
        kind,
        {
            "type": kind,
            "pairId": PAIR_IDS.get(row.pair, 99),
            "symbol": row.pair,
            "id": row.id,
            "method": METHOD_CODES[row.method],
            "userId": USER_ID,
            "orderType": 0 if row.side is Side.BUY else 1,
            "price": show(row.price),
            "amount": show(row.quantity),
            "numLeft": show(row.left),
            "denomLeft": text(account.hold_of(row, rules)),
            "newOrderClientId": row.client_id,
        },
    ]


def match_frame(trade: Trade, row: Order) -> Json:
    return [
        441,
        {
            "type": 441,
            "id": row.id,
            "user": USER_ID,
            "isBid": row.side is Side.BUY,
            "method": METHOD_CODES[row.method],
            "pair": PAIR_IDS.get(row.pair, 99),
            "symbol": row.pair,
            "amount": fixed(trade.quantity, 10),
            "price": fixed(trade.price, 10),
            "clientId": row.client_id,
        },
    ]
