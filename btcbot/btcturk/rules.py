"""Exchange info: 379 pairs and their rules; one that we cannot follow does not spoil the others."""

from collections.abc import Iterator

import msgspec
from msgspec import Raw, Struct

from btcbot.btcturk.grammar import Scale, WireError, decoded, json_number, number
from btcbot.btcturk.wire import Reply
from btcbot.domain.ids import Asset, Pair
from btcbot.domain.instruments import Instrument
from btcbot.domain.money import ZERO, Notional, Price, step_of


class _Filter(Struct):
    filterType: str  # noqa: N815 - the exchange's names
    tickSize: str | None = None  # noqa: N815
    minPrice: str | None = None  # noqa: N815
    maxPrice: str | None = None  # noqa: N815
    minExchangeValue: str | None = None  # noqa: N815


class _Symbol(Struct):
    name: str
    status: str
    numerator: str
    denominator: str
    numeratorScale: Scale  # noqa: N815
    denominatorScale: Scale  # noqa: N815
    hasFraction: bool  # noqa: N815
    filters: list[_Filter]
    orderMethods: list[str]  # noqa: N815
    maximumLimitOrderPrice: Raw = Raw(b"null")  # noqa: N815
    minimumLimitOrderPrice: Raw = Raw(b"null")  # noqa: N815


class _ExchangeInfo(Struct):
    symbols: list[Raw]


_info = msgspec.json.Decoder(Reply[_ExchangeInfo]).decode
_symbol = msgspec.json.Decoder(_Symbol).decode


def instruments(body: bytes) -> tuple[tuple[Instrument, ...], tuple[str, ...]]:
    """Return the rules of every pair, and what was wrong with those left out. Raises WireError."""
    found: list[Instrument] = []
    wrong: list[str] = []
    for row in decoded(_info, body).data.symbols:
        try:
            found.append(_instrument(decoded(_symbol, row)))
        except WireError as error:
            wrong.append(str(error))
    return tuple(found), tuple(wrong)


def _instrument(row: _Symbol) -> Instrument:
    try:
        rules, minimum = _price_filter(row)
        price_scale = row.denominatorScale if row.hasFraction else 0
        tick = number(rules.tickSize) if rules.tickSize else ZERO
        return Instrument(
            pair=Pair(row.name),
            base=Asset(row.numerator),
            quote=Asset(row.denominator),
            is_trading=row.status == "TRADING" and "LIMIT" in row.orderMethods,
            price_scale=price_scale,
            quantity_scale=row.numeratorScale,
            tick=max(tick, step_of(price_scale)),
            notional_min=Notional(number(minimum)),
            price_min=max(_bounds(row.minimumLimitOrderPrice, rules.minPrice), default=None),
            price_max=min(_bounds(row.maximumLimitOrderPrice, rules.maxPrice), default=None),
        )
    except WireError as error:
        raise WireError(f"{row.name}: {error}") from None


def _price_filter(row: _Symbol) -> tuple[_Filter, str]:
    """Return the filter of prices and its minExchangeValue. Raises WireError."""
    for found in row.filters:
        if found.filterType == "PRICE_FILTER" and found.minExchangeValue:
            return found, found.minExchangeValue
    raise WireError("no PRICE_FILTER with a minExchangeValue among its filters")


def _bounds(moving: Raw, fixed: str | None) -> Iterator[Price]:
    """Yield the bounds of a price: one moves with the market, one is the filter's own."""
    if bytes(moving) != b"null":
        yield Price(json_number(moving))
    if fixed:
        yield Price(number(fixed))
