"""Making limits and modes stricter while the bot runs; both gates fold the same facts the same way.

A tightening holds until a person raises `tightened_since_ns` in the configuration past it: from the
outside limits only get stricter. What is looser than what holds has no effect, by construction.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from btcbot.domain.facts import LimitTightened, RiskModeSet
from btcbot.domain.words import RiskMode

L = TypeVar("L", bound=Struct)
# What is a least, not a most: more of it is stricter.
LEAST: Final = ("cash_reserve_min_try", "buy_cooldown_ms")
MODES: Final = tuple(RiskMode)  # From what allows most to what allows least.


def is_tighter(name: str, value: Decimal, than: Decimal | int) -> bool:
    """Return whether the limit `name` allows less at `value`."""
    return value > than if name in LEAST else value < than


def tightest(limits: L, facts: Iterable[LimitTightened], since_ns: int) -> L:
    """Return `limits` with every tightening of its fields since then that allows less."""
    for fact in facts:
        present = getattr(limits, fact.name, None)
        if present is None or fact.at_ns < since_ns:
            continue
        if is_tighter(fact.name, fact.value, present):
            limits = replace(limits, **{fact.name: type(present)(fact.value)})
    return limits


def stricter(one: RiskMode, other: RiskMode) -> RiskMode:
    """Return the mode that allows less."""
    return one if MODES.index(one) >= MODES.index(other) else other


def mode_at(override: RiskModeSet | None, now_ns: int) -> RiskMode:
    """Return the mode that a person set, NORMAL when none did or its time is over."""
    if override is None or (override.until_ns is not None and now_ns >= override.until_ns):
        return RiskMode.NORMAL
    return override.mode
