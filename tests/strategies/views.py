"""What a strategy is shown: one pair, a quote, what is held."""

from decimal import Decimal
from typing import Any

from btcbot.domain.ids import Pair
from btcbot.domain.instruments import DOCUMENTED, FEES_TRY
from btcbot.domain.messages import BookTop
from btcbot.domain.money import Price, Quantity
from btcbot.domain.words import Side
from btcbot.strategies.contract import Holding, MarketView

BTCTRY = Pair("BTCTRY")
RULES = DOCUMENTED[BTCTRY]
START_NS = 1_795_000_000_000_000_000
SECOND = 1_000_000_000


def top(bid: str, ask: str) -> BookTop:
    one = Quantity(Decimal(1))
    return BookTop(
        pair=BTCTRY, bid=Price(Decimal(bid)), bid_quantity=one, ask=Price(Decimal(ask)),
        ask_quantity=one, changed_ns=0, confirmed_ns=0,
    )  # fmt: skip


def view(quantity: str = "0", cost: str = "0", *live: str, **more: Any) -> MarketView:
    """Return a view in which `quantity` is held at the average `cost`; `live`: buy, sell."""
    holdings = {BTCTRY: Holding(Decimal(quantity), Decimal(cost))} if Decimal(quantity) else {}
    made = MarketView(rules={BTCTRY: RULES}, fees={BTCTRY: FEES_TRY}, holdings=holdings)
    name = more.pop("name", "profit_aware")
    made.strategy = name
    made.live = {f"{name}:BTCTRY:{side}": Side(side) for side in live}
    return made
