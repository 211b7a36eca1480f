"""What the account holds: the exchange's word, and our books where they know of a later fill.

The exchange is asked for balances now and then; a fill is booked within seconds. Both run from the
same opening, so without deposits they differ only while one knows of a fill that the other does
not. Whichever changed last is the one that knows more.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from btcbot.domain.facts import Posting
from btcbot.domain.ids import Asset
from btcbot.domain.messages import AssetBalance
from btcbot.domain.money import ZERO, Amount
from btcbot.domain.repeats import NEVER_NS

# Balances are read at least twice as often. A difference that outlives this is no lag: somebody
# deposited, and the exchange knows.
BOOKS_LEAD_NS = 60_000_000_000
ASSET_ACCOUNT = "asset"


class Account(Struct, frozen=True):
    """One asset: as stated by the exchange, and as booked by us."""

    total: Decimal = ZERO
    free: Decimal = ZERO
    stated_ns: int = 0
    booked: Decimal = ZERO
    booked_ns: int = 0

    def shown(self, asset: Asset, now_ns: int) -> AssetBalance:
        """Return the balance to show at `now_ns`; what is free moves with the total."""
        moved = self.booked - self.total if self._books_lead(now_ns) else ZERO
        total = self.total + moved
        free = min(max(self.free + moved, ZERO), max(total, ZERO))
        return AssetBalance(asset, Amount(total), Amount(free))

    def same_until_ns(self, now_ns: int) -> int:
        """Return when time alone will change what is shown; 0: never."""
        return self.booked_ns + BOOKS_LEAD_NS if self._books_lead(now_ns) else 0

    def _books_lead(self, now_ns: int) -> bool:
        return self.booked_ns > self.stated_ns and now_ns - self.booked_ns < BOOKS_LEAD_NS


Accounts = Mapping[Asset, Account]


class Shown(Struct, frozen=True):
    """The balances of `of` in the order of their assets, as they stay until `until_ns`."""

    of: Accounts
    balances: tuple[AssetBalance, ...]
    until_ns: int


NOTHING_SHOWN: Final = Shown({}, (), 0)


def show(accounts: Accounts, now_ns: int, before: Shown) -> Shown:
    """Return what to show at `now_ns`; what was shown `before`, where nothing changed since."""
    if accounts is before.of and now_ns < before.until_ns:
        return before
    balances = tuple(accounts[asset].shown(asset, now_ns) for asset in sorted(accounts))
    leads = filter(None, (account.same_until_ns(now_ns) for account in accounts.values()))
    return Shown(accounts, balances, min(leads, default=NEVER_NS))


def state(accounts: Accounts, rows: Iterable[AssetBalance], at_ns: int) -> Accounts:
    """Return `accounts` after the exchange stated all balances; what it leaves out is zero."""
    stated = {row.asset: row for row in rows}
    nothing = AssetBalance(Asset(""), Amount(ZERO), Amount(ZERO))
    found = {}
    for asset in sorted({*accounts, *stated}):
        row, known = stated.get(asset, nothing), accounts.get(asset, Account())
        found[asset] = Account(row.total, row.free, at_ns, known.booked, known.booked_ns)
    return found


def explain(accounts: Accounts, postings: Iterable[Posting]) -> Accounts:
    """Return `accounts` after a person explained a difference: our books follow the exchange's.

    No book leads for it: the exchange had stated it before anybody explained it.
    """
    found = dict(accounts)
    for line in postings:
        if line.account == ASSET_ACCOUNT:
            known = found.get(line.asset, Account())
            found[line.asset] = replace(known, booked=known.booked + line.amount)
    return found


def post(accounts: Accounts, postings: Iterable[Posting], at_ns: int) -> Accounts:
    """Return `accounts` after `postings` of a fill or of the opening were booked."""
    found = dict(accounts)
    for line in postings:
        if line.account == ASSET_ACCOUNT:
            known = found.get(line.asset, Account())
            booked = known.booked + line.amount
            found[line.asset] = Account(known.total, known.free, known.stated_ns, booked, at_ns)
    return found
