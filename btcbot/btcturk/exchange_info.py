"""Exchange info whole: every pair's rules, the currencies, and what cannot be moved just now."""

from decimal import Decimal
from typing import Final

import msgspec
from msgspec import Raw, Struct

from btcbot.btcturk.grammar import Count, Millis, Scale, decoded, json_number, number
from btcbot.btcturk.wire import Reply
from btcbot.domain.ids import Asset, Pair

_NULL: Final = Raw(b"null")


class PairRules(Struct, frozen=True, kw_only=True):
    """One pair as exchange info has it; `rules.py` makes of it what we trade by."""

    id: int
    pair: Pair
    base: Asset
    quote: Asset
    status: str
    quantity_scale: int
    price_scale: int
    has_fraction: bool
    tick: Decimal | None
    price_min: Decimal | None
    price_max: Decimal | None
    notional_min: Decimal | None
    quantity_min: Decimal | None
    quantity_max: Decimal | None
    methods: tuple[str, ...]
    display_format: str
    display_order: int
    commission_from_base: bool
    price_rounding: bool
    is_new: bool
    warning_percent: Decimal | None
    order_amount_max: Decimal | None
    limit_price_max: Decimal | None
    limit_price_min: Decimal | None


class Currency(Struct, frozen=True, kw_only=True):
    id: int
    asset: Asset
    name: str
    kind: str  # "FIAT", "CRYPTO".
    precision: int
    withdrawal_min: Decimal
    deposit_min: Decimal
    has_tag: bool
    is_new: bool


class Block(Struct, frozen=True):
    """What cannot be moved in or out of the exchange now; its assets are spelled `Btc`."""

    asset: Asset
    withdrawal_disabled: bool
    deposit_disabled: bool


class ExchangeInfo(Struct, frozen=True):
    at_ms: int  # Up to 30 s old: no clock.
    pairs: tuple[PairRules, ...]
    currencies: tuple[Currency, ...]
    blocks: tuple[Block, ...]


class _Filter(Struct):
    filterType: str  # noqa: N815
    minPrice: str | None = None  # noqa: N815
    maxPrice: str | None = None  # noqa: N815
    tickSize: str | None = None  # noqa: N815
    minExchangeValue: str | None = None  # noqa: N815
    minAmount: str | None = None  # noqa: N815
    maxAmount: str | None = None  # noqa: N815


class _Symbol(Struct):
    id: Count
    name: str
    nameNormalized: str  # noqa: N815
    status: str
    numerator: str
    denominator: str
    numeratorScale: Scale  # noqa: N815
    denominatorScale: Scale  # noqa: N815
    hasFraction: bool  # noqa: N815
    filters: list[_Filter]
    orderMethods: list[str]  # noqa: N815
    displayFormat: str  # noqa: N815
    commissionFromNumerator: bool  # noqa: N815
    order: Count
    priceRounding: bool  # noqa: N815
    isNew: bool  # noqa: N815
    marketPriceWarningThresholdPercentage: Raw = _NULL  # noqa: N815
    maximumOrderAmount: Raw = _NULL  # noqa: N815
    maximumLimitOrderPrice: Raw = _NULL  # noqa: N815
    minimumLimitOrderPrice: Raw = _NULL  # noqa: N815


class _Tag(Struct):
    enable: bool


class _Currency(Struct):
    id: Count
    symbol: str
    minWithdrawal: Raw  # noqa: N815
    minDeposit: Raw  # noqa: N815
    precision: Count
    currencyType: str  # noqa: N815
    tag: _Tag
    name: str
    isNew: bool  # noqa: N815


class _Block(Struct):
    currencySymbol: str  # noqa: N815
    withdrawalDisabled: bool  # noqa: N815
    depositDisabled: bool  # noqa: N815


class _Info(Struct):
    timeZone: str  # noqa: N815
    serverTime: Millis  # noqa: N815
    symbols: list[_Symbol]
    currencies: list[_Currency]
    currencyOperationBlocks: list[_Block]  # noqa: N815


_info = msgspec.json.Decoder(Reply[_Info]).decode


def exchange_info(body: bytes) -> ExchangeInfo:
    """Return all of it. Raises WireError."""
    found = decoded(_info, body).data
    return ExchangeInfo(
        found.serverTime,
        tuple(map(_pair_of, found.symbols)),
        tuple(map(_currency_of, found.currencies)),
        tuple(
            Block(Asset(row.currencySymbol.upper()), row.withdrawalDisabled, row.depositDisabled)
            for row in found.currencyOperationBlocks
        ),
    )


def _pair_of(row: _Symbol) -> PairRules:
    rules = next((one for one in row.filters if one.filterType == "PRICE_FILTER"), _Filter(""))
    return PairRules(
        id=row.id,
        pair=Pair(row.name),
        base=Asset(row.numerator),
        quote=Asset(row.denominator),
        status=row.status,
        quantity_scale=row.numeratorScale,
        price_scale=row.denominatorScale,
        has_fraction=row.hasFraction,
        tick=_text_or_none(rules.tickSize),
        price_min=_text_or_none(rules.minPrice),
        price_max=_text_or_none(rules.maxPrice),
        notional_min=_text_or_none(rules.minExchangeValue),
        quantity_min=_text_or_none(rules.minAmount),
        quantity_max=_text_or_none(rules.maxAmount),
        methods=tuple(row.orderMethods),
        display_format=row.displayFormat,
        display_order=row.order,
        commission_from_base=row.commissionFromNumerator,
        price_rounding=row.priceRounding,
        is_new=row.isNew,
        warning_percent=_number_or_none(row.marketPriceWarningThresholdPercentage),
        order_amount_max=_number_or_none(row.maximumOrderAmount),
        limit_price_max=_number_or_none(row.maximumLimitOrderPrice),
        limit_price_min=_number_or_none(row.minimumLimitOrderPrice),
    )


def _currency_of(row: _Currency) -> Currency:
    return Currency(
        id=row.id,
        asset=Asset(row.symbol),
        name=row.name,
        kind=row.currencyType,
        precision=row.precision,
        withdrawal_min=json_number(row.minWithdrawal),
        deposit_min=json_number(row.minDeposit),
        has_tag=row.tag.enable,
        is_new=row.isNew,
    )


def _text_or_none(value: str | None) -> Decimal | None:
    return None if value is None else number(value)


def _number_or_none(value: Raw) -> Decimal | None:
    return None if bytes(value) == b"null" else json_number(value)
