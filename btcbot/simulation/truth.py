"""The sandbox's own truth, under /__truth__/: for tests and people, never for the bot."""

import msgspec

from btcbot.domain.ids import Asset
from btcbot.domain.money import MoneyError, parse, text
from btcbot.simulation.account import Order, Trade
from btcbot.simulation.calls import Call, Handler, Json, fields_of, invalid
from btcbot.simulation.sandbox import Sandbox


def handlers(sandbox: Sandbox) -> dict[tuple[str, str], Handler]:
    """Return what tells everything remembered, oldest first; no limit, no delay, no signature."""

    def orders(_call: Call) -> Json:
        return list(map(_order, sandbox.exchange.account.orders.values()))

    def trades(_call: Call) -> Json:
        return list(map(_trade, sandbox.exchange.account.trades))

    def balances(_call: Call) -> Json:
        return [
            {
                "asset": asset,
                "total": text(row.total),
                "free": text(row.free),
                "locked": text(row.locked),
            }
            for asset, row in sandbox.exchange.balances().items()
        ]

    def requests(_call: Call) -> Json:
        return [msgspec.structs.asdict(row) for row in sandbox.requests]

    def transfers(_call: Call) -> Json:
        return [
            {"id": row.id, "asset": row.asset, "amount": text(row.amount), "at_ns": row.at_ns}
            for row in sandbox.transfers
        ]

    told = {
        "orders": orders,
        "trades": trades,
        "balances": balances,
        "requests": requests,
        "transfers": transfers,
    }
    return {("GET", f"/__truth__/{name}"): tell for name, tell in told.items()} | _acts(sandbox)


def _order(row: Order) -> Json:
    return {
        "id": row.id,
        "client_id": row.client_id,
        "pair": row.pair,
        "side": row.side,
        "method": row.method,
        "quantity": text(row.quantity),
        "left": text(row.left),
        "price": text(row.price),
        "stop_price": text(row.stop_price),
        "status": row.status,
        "is_open": row.is_open,
        "created_ns": row.created_ns,
        "updated_ns": row.updated_ns,
    }


def _trade(row: Trade) -> Json:
    return {
        "trade_id": row.id,
        "order_id": row.order_id,
        "client_id": row.client_id,
        "pair": row.pair,
        "side": row.side,
        "quantity": text(row.quantity),
        "price": text(row.price),
        "fee": text(row.fee),
        "tax": text(row.tax),
        "is_maker": row.is_maker,
        "at_ns": row.at_ns,
    }


def _acts(sandbox: Sandbox) -> dict[tuple[str, str], Handler]:
    """Return what people do at the exchange's own site, or it does itself."""

    def transfer(call: Call) -> Json:
        """Move money in or out, as a person at the exchange's site would."""
        fields = fields_of(call.body)
        try:
            amount = parse(fields.get("amount", ""))
        except MoneyError:
            raise invalid() from None
        asset = Asset(fields.get("asset", "").upper())
        if asset not in sandbox.exchange.balances():
            raise invalid()
        made = sandbox.transfer(asset, amount, call.now_ns)
        return {"id": made.id, "asset": made.asset, "amount": text(made.amount)}

    def notice(call: Call) -> Json:
        """Say something to everybody who is connected."""
        sandbox.notices.append(fields_of(call.body).get("message", ""))
        return {"ok": True}

    return {("POST", "/__truth__/transfers"): transfer, ("POST", "/__truth__/notices"): notice}
