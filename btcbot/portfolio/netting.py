"""Strategies that want the opposite of each other on one account trade with each other first.

It happens at the middle, and only among those who lose nothing by it: nobody pays more, or gets
less, than at its limit with the maker's fee. No order is sent for it and no fee is paid; whose
holdings they are moves from seller to buyer.
"""

from collections.abc import Sequence

from msgspec import Struct

from btcbot.domain.ids import Pair
from btcbot.domain.money import BPS_IN_ONE, ZERO, Price, Quantity
from btcbot.domain.words import Side
from btcbot.portfolio.budget import Parts
from btcbot.portfolio.drafts import Cut, Draft
from btcbot.portfolio.reasons import Reason


class Transfer(Struct, frozen=True, kw_only=True):
    """`quantity` of the pair's base passes from one strategy's book to another's, at `price`."""

    pair: Pair
    seller: str
    buyer: str
    quantity: Quantity
    price: Price


def net(drafts: Sequence[Draft], parts: Parts) -> tuple[Transfer, ...]:
    """Match opposite drafts of a pair, in the order given, and take from both what was matched.

    Nobody is matched with itself, beyond its budget or beyond what it holds.
    """
    buys: dict[Pair, list[Draft]] = {}
    sells: dict[Pair, list[Draft]] = {}
    for draft in drafts:
        if draft.left and _is_willing(draft):
            of_side = buys if draft.wish.side is Side.BUY else sells
            of_side.setdefault(draft.wish.pair, []).append(draft)
    return tuple(
        transfer
        for pair in sorted(buys)
        for sell in sells.get(pair, ())
        for buy in buys[pair]
        if (transfer := _match(buy, sell, parts)) is not None
    )


def _is_willing(draft: Draft) -> bool:
    assert draft.line is not None, draft.wish
    middle, fee = draft.line.middle, draft.line.fees.maker_bps / BPS_IN_ONE
    assert middle is not None, draft.wish
    if draft.wish.side is Side.BUY:
        return middle <= draft.price * (1 + fee)
    return middle >= draft.price * (1 - fee)


def _match(buy: Draft, sell: Draft, parts: Parts) -> Transfer | None:
    buyer, seller, pair = buy.wish.strategy, sell.wish.strategy, buy.wish.pair
    line = buy.line
    assert line is not None, buy.wish
    price = line.middle
    assert price, buy.wish
    most = min(parts.to_buy(buyer) / price, parts.to_sell(seller, pair), buy.left, sell.left)
    quantity = line.instrument.quantity_down(max(most, ZERO))
    if not quantity or buyer == seller:
        return None
    parts.buys(buyer, quantity * price)
    parts.sells(seller, pair, quantity)
    for draft, other in ((buy, seller), (sell, buyer)):
        draft.left = Quantity(draft.left - quantity)
        draft.netted += quantity
        draft.cuts.append(Cut(Reason.NETTED, draft.left, other))
    return Transfer(pair=pair, seller=seller, buyer=buyer, quantity=quantity, price=price)
