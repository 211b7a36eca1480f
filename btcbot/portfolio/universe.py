"""Which pairs may be traded at all, and which are the cheapest to trade: filters, then a ranking.

Every pair left out has one reason, the first that applies. Nothing here remembers anything.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Final

from msgspec import Meta, Struct

from btcbot.domain.ids import Asset, Pair
from btcbot.domain.instruments import Instrument
from btcbot.domain.money import ZERO, Notional
from btcbot.portfolio.bounds import check_amounts
from btcbot.portfolio.features import Features
from btcbot.portfolio.reasons import Exclusion

STABLES: Final = ("USDT", "USDC", "DAI", "TUSD", "FDUSD", "BUSD", "EUR", "USD")


class Candidate(Struct, frozen=True, kw_only=True):
    """A listed pair; `features` None: not followed, so nothing is known of its market."""

    instrument: Instrument
    features: Features | None = None


class PairRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which pairs may be in, whatever their market does; an empty `allow` allows every pair."""

    quote: Asset = Asset("TRY")
    allow: tuple[Pair, ...] = ()
    deny: tuple[Pair, ...] = ()
    stables: tuple[Asset, ...] = tuple(Asset(name) for name in STABLES)  # Bases left out.
    notional_min_max: Decimal = Decimal(1_000_000)  # Of the exchange's own minimum, in the quote.

    def __post_init__(self) -> None:
        check_amounts(self)


class UniverseRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The universe that no history moves."""

    pairs: PairRules = PairRules()
    spread_max_bps: Decimal = Decimal(200)
    size: Annotated[int, Meta(ge=0, le=100)] = 20

    def __post_init__(self) -> None:
        check_amounts(self)


class Excluded(Struct, frozen=True):
    pair: Pair
    reason: Exclusion
    detail: str = ""  # What was found and what is allowed.


class Universe(Struct, frozen=True, kw_only=True):
    """Best first; everything else with its reason, by pair."""

    selected: tuple[Pair, ...]
    excluded: tuple[Excluded, ...]


def screen(
    rules: UniverseRules,
    candidates: Sequence[Candidate],
    resting: Mapping[Pair, int] | None,
    now_ns: int,
) -> Universe:
    """Return the universe: tightest spread first (unknown last), then most traded, then by name.

    `resting`: until when pairs rest; None: it could not be read, so nothing may trade.
    """
    kept: list[Candidate] = []
    excluded: list[Excluded] = []
    for candidate in by_pair(candidates):
        bar = barred(rules.pairs, candidate.instrument, resting, now_ns)
        bar = bar or _too_wide(rules.spread_max_bps, candidate.features)
        if bar is None:
            kept.append(candidate)
        else:
            excluded.append(bar)
    kept.sort(key=_rank)
    excluded += [Excluded(c.instrument.pair, Exclusion.RANK) for c in kept[rules.size :]]
    return Universe(
        selected=tuple(candidate.instrument.pair for candidate in kept[: rules.size]),
        excluded=tuple(sorted(excluded, key=lambda row: row.pair)),
    )


def by_pair(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return `candidates` by pair, each pair once: of two the last counts."""
    found = {candidate.instrument.pair: candidate for candidate in candidates}
    return [found[pair] for pair in sorted(found)]


def barred(
    rules: PairRules, instrument: Instrument, resting: Mapping[Pair, int] | None, now_ns: int
) -> Excluded | None:
    """Return why a pair may not be in, whatever its market does; None: it may."""
    pair = instrument.pair
    if resting is None:
        return Excluded(pair, Exclusion.COOLDOWN_UNKNOWN)
    left_ns = resting.get(pair, 0) - now_ns
    if left_ns > 0:
        return Excluded(pair, Exclusion.COOLDOWN, f"{-(-left_ns // 1_000_000_000)} s left")
    return _by_name(rules, instrument) or _by_rules(rules, instrument)


def _by_name(rules: PairRules, instrument: Instrument) -> Excluded | None:
    pair = instrument.pair
    if rules.allow and pair not in rules.allow:
        return Excluded(pair, Exclusion.NOT_ALLOWED)
    if pair in rules.deny:
        return Excluded(pair, Exclusion.DENIED)
    if instrument.quote != rules.quote:
        return Excluded(pair, Exclusion.OTHER_QUOTE, f"{instrument.quote}; allowed {rules.quote}")
    if instrument.base in rules.stables:
        return Excluded(pair, Exclusion.STABLE, instrument.base)
    return None


def _by_rules(rules: PairRules, instrument: Instrument) -> Excluded | None:
    pair = instrument.pair
    if not instrument.is_trading:
        return Excluded(pair, Exclusion.NOT_TRADING)
    if instrument.notional_min > rules.notional_min_max:
        found = f"{instrument.notional_min} {rules.quote}; at most {rules.notional_min_max}"
        return Excluded(pair, Exclusion.MINIMUM_TOO_HIGH, found)
    return None


def _too_wide(spread_max_bps: Decimal, features: Features | None) -> Excluded | None:
    """Return why the spread bars a pair; an unknown one ranks it last and bars nothing."""
    if features is None or features.spread_bps is None or features.spread_bps <= spread_max_bps:
        return None
    found = f"{features.spread_bps:.1f} bps; at most {spread_max_bps}"
    return Excluded(features.pair, Exclusion.SPREAD_TOO_WIDE, found)


def _rank(candidate: Candidate) -> tuple[bool, Decimal, Decimal, Pair]:
    features, pair = candidate.features, candidate.instrument.pair
    if features is None:
        return True, ZERO, ZERO, pair
    spread, turnover = features.spread_bps, features.turnover
    return spread is None, ZERO if spread is None else spread, -(turnover or Notional(ZERO)), pair
