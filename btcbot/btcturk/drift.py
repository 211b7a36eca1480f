"""What the exchange says that nobody told us of: new fields, frame types, words. Never fatal.

The parser ignores it; here it is counted, and told once each, so that a person reads up on it
before the day it matters. Looking costs a second decoding, so only some bodies are looked at.
"""

from collections.abc import Callable
from typing import Final

import msgspec

LOOK_EVERY: Final = 64
NAMES_MAX: Final = 200  # A body of random keys must not fill the memory, or the log.
DEPTH_MAX: Final = 6

_ORDER = (
    "id price amount quantity stopPrice pairSymbol pairSymbolNormalized pairsymbol"
    " pairsymbolnormalized type method orderClientId time updateTime status leftAmount"
)
_TRANSFER = (
    "balanceType currencySymbol address tag txHash confirmationCount isConfirmed id timestamp"
    " amount preciseAmount fee tax"
)
_ENVELOPE = "data success message code httpStatusCode extensions"
KNOWN: Final[dict[str, frozenset[str]]] = {
    name: frozenset(f"{_ENVELOPE} {fields}".split())
    for name, fields in {
        "balances": "asset assetname balance locked free orderFund requestFund precision timestamp",
        "order": _ORDER,
        "open_orders": f"{_ORDER} asks bids",
        "all_orders": _ORDER,
        "trades": "id orderId orderClientId timestamp numeratorSymbol denominatorSymbol orderType"
        " price amount preciseAmount fee tax",
        "order_book": "timestamp bids asks",
        "time": "serverTime serverTime2",
        "crypto": _TRANSFER,
        "fiat": _TRANSFER,
        "ticker": "pair pairNormalized timestamp last high low bid ask open volume average daily"
        " dailyPercent denominatorSymbol numeratorSymbol order",
        "public_trades": "pair pairNormalized numerator denominator date tid price amount side",
        "daily": "pairSymbol pairNormalized pairSymbolNormalized time open high low close volume"
        " average dailyChangeAmount dailyChangePercentage",
        "chart_days": "pair time open high low close volume total average dailyChangeAmount"
        " dailyChangePercentage",
        "candles": "s t o h l c v nb nextTime",
        "exchange_info": "timeZone serverTime symbols currencies currencyOperationBlocks id name"
        " nameNormalized status numerator denominator numeratorScale denominatorScale hasFraction"
        " filters filterType minPrice maxPrice tickSize minExchangeValue minAmount maxAmount"
        " orderMethods displayFormat commissionFromNumerator order priceRounding isNew"
        " marketPriceWarningThresholdPercentage maximumOrderAmount maximumLimitOrderPrice"
        " minimumLimitOrderPrice symbol minWithdrawal minDeposit precision address minLen maxLen"
        " currencyType tag enable color isAddressRenewable getAutoAddressDisabled"
        " isPartialWithdrawalEnabled currencySymbol withdrawalDisabled depositDisabled",
        "private_frame": "type id orderId timestamp numeratorSymbol denominatorSymbol amount fee"
        " tax price orderType orderClientId preciseAmount user isBid method pair symbol clientId"
        " pairId userId numLeft denomLeft newOrderClientId payload",
        "frame": "type CS PS P A CP AO BO channel event symbol items D I S ok message id code"
        " current min B BA AA H L LA O V AV DP NS DS PId Ord R C",
    }.items()
}
METHODS: Final = frozenset({"limit", "market", "stoplimit", "stopmarket"})
STATUSES: Final = frozenset(
    {"Untouched", "Partial", "Closed", "Canceled", "Filled", "Cancelled"}  # As documented, and two
)  # that other clients know.


class Drift:
    """Counts by name; `on_new` hears each name once."""

    def __init__(self, on_new: Callable[[str], None]) -> None:
        self.counts: dict[str, int] = {}
        self._looked: dict[str, int] = {}
        self._on_new = on_new

    def note(self, what: str) -> None:
        """Count one thing nobody told us of."""
        what = what[:120]
        if what not in self.counts:
            if len(self.counts) >= NAMES_MAX:
                return
            self._on_new(what)
        self.counts[what] = self.counts.get(what, 0) + 1

    def look(self, kind: str, body: str | bytes) -> None:
        """Look for unknown fields in the first body of a kind, and in every 64th after it."""
        times = self._looked.get(kind, 0)
        self._looked[kind] = times + 1
        if times % LOOK_EVERY == 0:
            for name in sorted(unknown_fields(body, KNOWN[kind])):
                self.note(f"{kind}: field {name!r}")


def unknown_fields(body: str | bytes, known: frozenset[str]) -> set[str]:
    """Return the keys anywhere in `body` that are not `known`; none when it is no JSON."""
    try:
        tree = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return set()
    found: set[str] = set()
    _walk(tree, known, found, DEPTH_MAX)
    return found


def _walk(tree: object, known: frozenset[str], found: set[str], depth: int) -> None:
    if depth == 0 or len(found) >= NAMES_MAX:
        return
    if isinstance(tree, dict):
        found.update(str(name)[:40] for name in tree if name not in known)
        tree = list(tree.values())
    if isinstance(tree, list):
        for part in tree:
            _walk(part, known, found, depth - 1)
