"""ema_cross: long while the fast mean is above the slow one, flat otherwise."""

from decimal import Decimal

import pytest

from btcbot.domain.words import Side
from btcbot.strategies.contract import MarketView, Want
from btcbot.strategies.ema_cross import Params, State, decide, start
from tests.strategies.views import BTCTRY, START_NS, top, view

PARAMS = Params(fast=2, slow=4, quantity=Decimal("0.001"), cross_bps=20, life_s=7)


def fed(at: MarketView, *middles: int, state: State | None = None) -> tuple[State, list[Want]]:
    """Return the state after quotes at `middles`, and the wishes of the last."""
    state = state or start(PARAMS)
    wants: tuple[Want, ...] = ()
    for middle in middles:
        state, wants = decide(state, PARAMS, at, top(str(middle), str(middle)), START_NS)
    return state, list(wants)


FLAT = view(name="ema_cross")
LONG = view("0.00123456", "1000000", name="ema_cross")
RISING = (1_000_000, 1_000_000, 1_000_000, 1_010_000)
FALLING = (1_000_000, 1_000_000, 1_000_000, 990_000)


def test_it_buys_its_quantity_when_the_fast_mean_rises_above_the_slow_one() -> None:
    _, [want] = fed(FLAT, *RISING)
    assert (want.side, want.quantity) == (Side.BUY, Decimal("0.001"))
    assert want.limit_price == 1_012_020  # The ask and 20 bps, on a tick of 10.
    assert want.life_ns == 7_000_000_000


def test_it_sells_all_that_is_held_when_it_falls_below() -> None:
    _, [want] = fed(LONG, *FALLING)
    assert (want.side, want.quantity) == (Side.SELL, Decimal("0.00123456"))
    assert want.limit_price == 988_020


@pytest.mark.parametrize(
    ("why", "at", "middles"),
    [
        ("too few quotes", FLAT, RISING[1:]),
        ("it is long already", LONG, RISING),
        ("there is nothing to sell", FLAT, FALLING),
        ("a buy is live", view("0", "0", "buy", name="ema_cross"), RISING),
        ("a sell is live", view("1", "1", "sell", name="ema_cross"), FALLING),
        ("the buy of what it would sell is live", view("1", "1", "buy", name="ema_cross"), FALLING),
        ("there are no rules", MarketView(), RISING),
        ("it is the first quote", FLAT, RISING[-1:]),
    ],
)
def test_it_waits_otherwise(why: str, at: MarketView, middles: tuple[int, ...]) -> None:
    assert fed(at, *middles)[1] == [], why


def test_the_means_are_the_textbooks() -> None:
    state, _ = fed(FLAT, 100, 130)
    means = state.means[BTCTRY]
    assert means.fast == pytest.approx(100 + 30 * 2 / 3)
    assert means.slow == pytest.approx(100 + 30 * 2 / 5)
    assert means.seen == 2
