"""Double entry: what a fill moves between accounts, as lines that sum to zero per asset."""

from decimal import Decimal

from btcbot.domain.facts import Posting
from btcbot.domain.ids import Asset
from btcbot.domain.messages import AssetBalance
from btcbot.domain.money import Amount, Price, Quantity
from btcbot.domain.words import Side

ASSET, TRADING, FEE, TAX, EXTERNAL = "asset", "trading", "fee", "tax", "external"


def of_fill(  # noqa: PLR0913, PLR0917 - a fill is these seven things
    side: Side,
    base: Asset,
    quote: Asset,
    quantity: Quantity,
    price: Price,
    fee: Amount,
    tax: Amount,
) -> tuple[Posting, ...]:
    """Return the lines of one fill: base and quote against trading, fee and tax out of quote.

    A buy adds base and takes price x quantity + fee + tax of quote; a sell is its mirror. Exact:
    nothing is rounded here. Lines of zero are left out.
    """
    sign = 1 if side is Side.BUY else -1
    moved = sign * quantity
    paid = -sign * quantity * price
    lines = (
        _line(ASSET, base, moved),
        _line(TRADING, base, -moved),
        _line(ASSET, quote, paid - fee - tax),
        _line(TRADING, quote, -paid),
        _line(FEE, quote, fee),
        _line(TAX, quote, tax),
    )
    return tuple(line for line in lines if line.amount)


def of_opening(balances: tuple[AssetBalance, ...]) -> tuple[Posting, ...]:
    """Return the lines that bring what an account held before btcbot's first trade."""
    return tuple(
        line
        for row in balances
        if row.total
        for line in (_line(ASSET, row.asset, row.total), _line(EXTERNAL, row.asset, -row.total))
    )


def _line(account: str, asset: Asset, amount: Decimal) -> Posting:
    return Posting(account, asset, Amount(amount))
