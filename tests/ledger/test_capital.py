"""The capital that may be risked: profit is split, losses count whole, checkpoints repeat."""

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from btcbot.ledger.capital import Capital, earned, paid_in, reached

D = Decimal
KEPT = D(6_000)
BEGUN = Capital(trading=D(1_000), day="2026-11-23")


def test_a_days_profit_is_split_60_to_40() -> None:
    at = reached(earned(BEGUN, "2026-11-23", D(100), KEPT), "2026-11-24", KEPT)
    assert (at.trading, at.treasury, at.today) == (D(1_060), D(40), D(0))


def test_a_loss_takes_from_the_trading_capital_alone_and_at_once() -> None:
    rich = paid_in(reached(earned(BEGUN, "2026-11-23", D(100), KEPT), "2026-11-24", KEPT), D(0))
    lost = earned(rich, "2026-11-24", D(-300), KEPT)
    assert lost.available(KEPT) == D(760)
    settled = reached(lost, "2026-11-25", KEPT)
    assert (settled.trading, settled.treasury) == (D(760), D(40))


def test_a_loss_after_a_checkpoint_stops_nothing() -> None:
    at = BEGUN
    for day, realized in (("2026-11-24", 50), ("2026-11-25", -80), ("2026-11-26", 10)):
        at = earned(at, day, D(realized), KEPT)
    assert at.available(KEPT) == D(1_000) + 30 - 80 + 6


def test_a_checkpoint_that_is_reached_again_changes_nothing() -> None:
    at = reached(earned(BEGUN, "2026-11-23", D(100), KEPT), "2026-11-24", KEPT)
    assert reached(at, "2026-11-24", KEPT) == at
    assert reached(at, "2026-11-20", KEPT) == at  # The clock was set back.


def test_a_day_counts_as_what_came_of_it() -> None:
    many = BEGUN
    for realized in (70, -50, 90, -60):
        many = earned(many, "2026-11-23", D(realized), KEPT)
    one = earned(BEGUN, "2026-11-23", D(50), KEPT)
    assert reached(many, "2026-11-24", KEPT) == reached(one, "2026-11-24", KEPT)


def test_deposits_are_capital_and_withdrawals_take_what_was_put_aside_last() -> None:
    at = paid_in(Capital(trading=D(100), treasury=D(50)), D(20))
    assert (at.trading, at.treasury) == (D(120), D(50))
    at = paid_in(at, D(-150))
    assert (at.trading, at.treasury) == (D(0), D(20))
    assert paid_in(at, D(-500)) == Capital()


days = st.lists(st.tuples(st.integers(0, 6), st.integers(-900, 900)), max_size=30)


@given(rows=days, kept=st.integers(0, 10_000))
@settings(max_examples=300, deadline=None)
def test_nothing_is_made_by_splitting_and_capital_is_never_below_zero(
    rows: list[tuple[int, int]], kept: int
) -> None:
    at, total, worst = BEGUN, D(1_000), D(1_000)
    for day, realized in rows:
        at = earned(at, f"2026-11-{23 + day}", D(realized), D(kept))
        total += realized
        worst = min(worst, total)
        assert at.trading >= 0
        assert at.available(D(kept)) >= 0
    at = reached(at, "2026-12-31", D(kept))
    if worst > 0 and kept == 10_000:
        assert at.trading == total
    assert at.trading + at.treasury >= total  # Never less than all; more only after a ruin.
