"""What asking may cost in a day (UTC), and when a model that fails is left alone for a while.

The worst that a question can cost is set aside, durably, before it is sent: a crash in between
costs that much, never more than the day has.
"""

from decimal import Decimal
from typing import Final

import msgspec
from msgspec import Struct

from btcbot.agent.contracts import ANSWER_TOKENS_MAX, SECOND_NS, AgentSetup
from btcbot.domain.money import ZERO, Amount

DAY_NS: Final = 86_400 * SECOND_NS
MILLION: Final = 1_000_000
TEMPLATE_TOKENS: Final = 256  # What servers put around the messages.
FAILURES_MAX: Final = 3
OPEN_FIRST_NS, OPEN_LAST_NS = 60 * SECOND_NS, 3_600 * SECOND_NS


class Spent(Struct, frozen=True, forbid_unknown_fields=True):
    """What one day has cost, what is set aside included."""

    day: int = 0  # Days since 1970.
    calls: int = 0
    tokens: int = 0
    money: Decimal = ZERO


class Usage(Struct, frozen=True):
    """Tokens of one question and their price."""

    tokens_in: int
    tokens_out: int
    money: Decimal

    @property
    def tokens(self) -> int:
        return self.tokens_in + self.tokens_out

    @property
    def amount(self) -> Amount:
        return Amount(self.money)


NOTHING: Final = Usage(0, 0, ZERO)


class Breaker(Struct, frozen=True):
    """Failures in a row, and until when nobody is asked."""

    failures: int = 0
    open_until_ns: int = 0


def usage(setup: AgentSetup, tokens_in: int, tokens_out: int) -> Usage:
    """Return what so many tokens cost."""
    money = tokens_in * setup.money_per_mtok_in + tokens_out * setup.money_per_mtok_out
    return Usage(tokens_in, tokens_out, money / MILLION)


def worst(setup: AgentSetup, body: bytes) -> Usage:
    """Return the most that a request can cost: a token has at least one byte."""
    return usage(setup, len(body) + TEMPLATE_TOKENS, ANSWER_TOKENS_MAX)


def spent_today(spent: Spent, now_ns: int) -> Spent:
    """Return what the day of `now_ns` has cost; a clock set back does not give a day twice."""
    day = now_ns // DAY_NS
    return spent if day <= spent.day else Spent(day)


def has_room(spent: Spent, most: Usage, setup: AgentSetup) -> bool:
    """Return whether the day has room for a question that costs `most`."""
    return (
        spent.tokens + most.tokens <= setup.tokens_per_day_max
        and spent.money + most.money <= setup.money_per_day_max
    )


def charged(spent: Spent, cost: Usage) -> Spent:
    """Return `spent` with one more question."""
    return Spent(spent.day, spent.calls + 1, spent.tokens + cost.tokens, spent.money + cost.money)


def settled(spent: Spent, most: Usage, cost: Usage) -> Spent:
    """Return `spent` with what a question cost in the place of what was set aside for it."""
    tokens = max(spent.tokens - most.tokens, 0) + cost.tokens
    return Spent(spent.day, spent.calls, tokens, max(spent.money - most.money, ZERO) + cost.money)


def after(breaker: Breaker, *, is_good: bool, now_ns: int) -> Breaker:
    """Return the breaker after an outcome: open for a minute after three failures, then twice that.

    Open means not asked; afterwards one question decides.
    """
    if is_good:
        return Breaker()
    failures = min(breaker.failures + 1, 32)
    if failures < FAILURES_MAX:
        return Breaker(failures, 0)
    pause = min(OPEN_FIRST_NS << (failures - FAILURES_MAX), OPEN_LAST_NS)
    return Breaker(failures, now_ns + pause)


def spent_from(payload: bytes) -> Spent:
    """Return what was recorded. Raises msgspec.MsgspecError."""
    return msgspec.json.decode(payload, type=Spent)
