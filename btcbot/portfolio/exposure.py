"""What the account is exposed to: by pair, in all, and how much of it lies in a few."""

import hashlib
from decimal import Decimal

import msgspec
from msgspec import Struct

from btcbot.domain.ids import Pair
from btcbot.domain.money import ZERO, floor_to, text
from btcbot.portfolio.account import Account

SHARE_STEP = Decimal("0.000001")


class Held(Struct, frozen=True):
    pair: Pair
    value: Decimal  # Held, free or not, at the middle; in the account's quote.
    share: Decimal  # Of all that is held, rounded down.


class Exposure(Struct, frozen=True, kw_only=True):
    """Largest first. `concentration`: the share of the first few; 0 where nothing is held."""

    held: tuple[Held, ...]
    total: Decimal
    concentration: Decimal
    cash_free: Decimal
    fingerprint: str  # Of all that it was made from: equal accounts have equal ones.
    unpriced: tuple[Pair, ...]  # Held and without a price: not in the total.


def exposure(account: Account, largest: int = 3) -> Exposure:
    """Return the exposure of `account` and the share of its `largest` positions together."""
    values: dict[Pair, Decimal] = {}
    unpriced: list[Pair] = []
    for pair in sorted(account.lines):
        line = account.lines[pair]
        if not line.held:
            continue
        if line.middle is None:
            unpriced.append(pair)
        else:
            values[pair] = line.held * line.middle
    total = sum(values.values(), ZERO)
    ranked = sorted(values.items(), key=lambda row: (-row[1], row[0]))
    held = tuple(Held(pair, value, _share(value, total)) for pair, value in ranked)
    return Exposure(
        held=held,
        total=total,
        concentration=_share(sum((row.value for row in held[:largest]), ZERO), total),
        cash_free=account.cash_free,
        fingerprint=fingerprint(account),
        unpriced=tuple(unpriced),
    )


def fingerprint(account: Account) -> str:
    """Return 16 hex digits that equal accounts share, however their numbers are written."""
    rows = [
        (pair, *(text(value) for value in (line.held, line.free, line.buying, line.middle or ZERO)))
        for pair, line in sorted(account.lines.items())
    ]
    said = msgspec.json.encode((account.quote, text(account.cash_free), rows))
    return hashlib.blake2b(said, digest_size=8).hexdigest()


def _share(value: Decimal, total: Decimal) -> Decimal:
    return floor_to(value / total, SHARE_STEP) if total else ZERO
