"""Our own result: what of it depends on prices is given away once; a later life takes it back."""

from decimal import Decimal

from btcbot.domain.facts import BalancesExplained, Posting
from btcbot.domain.ids import Asset, CommandId
from btcbot.domain.money import Amount, Price
from btcbot.ledger import result
from btcbot.ledger.result import BEST, DAY, KEEP_NS, Result
from tests import builders as make
from tests.builders import BTCTRY, START_NS, TRY

STEP = Decimal(10)
TODAY, TOMORROW = "2026-11-18", "2026-11-19"
DAY_NS = 86_400_000_000_000


def bought() -> Result:
    """Return the result after 0.001 BTC were bought at some 2,500,000."""
    state = Result()
    result.add(state, make.fill(make.intent(1)), Decimal(10_000))
    return state


def given_away(state: Result, now_ns: int, price: int) -> list[tuple[str, str]]:
    result.look(state, {BTCTRY: Price(Decimal(price))}, now_ns)
    return [(kind, key) for kind, key, _ in result.to_keep(state, STEP, now_ns)]


def test_nothing_is_given_away_before_a_fill() -> None:
    state = Result()
    assert given_away(state, START_NS, 2_600_000) == []


def test_the_begin_of_a_day_and_a_best_result_are_given_away_once() -> None:
    state = bought()
    assert given_away(state, START_NS, 2_600_000) == [(DAY, TODAY), (BEST, "")]
    assert given_away(state, START_NS + KEEP_NS, 2_600_000) == []
    assert given_away(state, START_NS + DAY_NS, 2_600_000) == [(DAY, TOMORROW)]


def test_a_best_result_waits_until_a_minute_is_over_and_it_rose_enough() -> None:
    state = bought()
    given_away(state, START_NS, 2_600_000)

    assert given_away(state, START_NS + KEEP_NS - 1, 2_700_000) == []
    assert given_away(state, START_NS + KEEP_NS, 2_600_000) == [(BEST, "")]  # Though it is past.
    assert given_away(state, START_NS + 2 * KEEP_NS, 2_700_000 + 10_000) == []  # By 10 TRY.


def test_a_later_life_gives_nothing_away_that_it_was_told() -> None:
    first = bought()
    result.look(first, {BTCTRY: Price(Decimal(2_600_000))}, START_NS)
    kept = result.to_keep(first, STEP, START_NS)

    again = bought()
    for kind, key, amount in kept:
        result.recall(again, kind, key, amount)

    assert given_away(again, START_NS + KEEP_NS, 2_600_000) == []
    assert again.best == first.best
    assert again.begun == first.begun


def explained(asset: str, amount: int) -> BalancesExplained:
    """Return that a person paid `amount` in; below 0: took it out."""
    lines = (
        Posting("asset", Asset(asset), Amount(Decimal(amount))),
        Posting("external", Asset(asset), Amount(Decimal(-amount))),
    )
    return BalancesExplained(
        postings=lines, by="me", reason="a test", command_id=CommandId("c"), at_ns=START_NS
    )


def test_what_may_be_risked_follows_deposits_and_withdrawals_of_quote_assets_alone() -> None:
    state = Result()
    result.open_with(state, make.opening(TRY=1_000, BTC=3))
    for fact in (explained("TRY", 500), explained("TRY", -200), explained("BTC", 7)):
        result.explain(state, fact)

    assert result.risked(state, {}, (TRY,), Decimal(0)) == Decimal(1_300)
