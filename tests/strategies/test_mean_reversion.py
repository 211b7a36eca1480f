"""Mean reversion: it trades by how far the middle lies from a real anchor, and only then."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from btcbot.domain.messages import BookTop
from btcbot.domain.words import Side
from btcbot.strategies.contract import MarketView, Want
from btcbot.strategies.mean_reversion import Params, decide, start
from tests.strategies.views import SECOND, START_NS, top, view

# The anchor stands still: what a test shows is measured against the first quote.
PARAMS = Params(
    order_notional=Decimal(1_000), position_notional_max=Decimal(3_000), threshold_bps=50.0,
    stop_loss_bps=300.0, anchor_s=86_400.0, warm_up_s=10.0, cross_bps=0.0, rest_s=5.0,
)  # fmt: skip
CALM = top("999990", "1000010")


def at(deviation_bps: float) -> BookTop:
    """Return a quote whose middle lies `deviation_bps` above the anchor."""
    middle = 1_000_000 + round(deviation_bps * 100)
    return top(str(middle - 10), str(middle + 10))


def wanted(
    seen: MarketView, quote: BookTop, after_s: float = 10, params: Params = PARAMS
) -> tuple[Want, ...]:
    state, _ = decide(start(params), params, seen, CALM, START_NS)
    return decide(state, params, seen, quote, START_NS + round(after_s * SECOND))[1]


@pytest.mark.parametrize(("deviation_bps", "side"), [
    (-49, None), (-51, Side.BUY), (-200, Side.BUY), (0, None), (49, None), (51, Side.SELL),
])  # fmt: skip
def test_it_trades_when_the_middle_lies_a_threshold_from_the_anchor(
    deviation_bps: float, side: Side | None
) -> None:
    wants = wanted(view("0.001", "1000000"), at(deviation_bps))

    assert [want.side for want in wants] == ([] if side is None else [side])


def test_flat_it_buys_for_its_notional_and_has_nothing_to_sell() -> None:
    [want] = wanted(view(), at(-60))

    assert Decimal(999) < want.quantity * want.limit_price <= 1_000
    assert wanted(view(), at(60)) == ()


def test_it_wants_nothing_before_its_anchor_is_warm() -> None:
    assert wanted(view(), at(-60), after_s=9.9) == ()


def test_it_buys_up_to_its_position_and_no_further() -> None:
    [want] = wanted(view("0.0025", "1000000"), at(-60))

    assert want.quantity * want.limit_price <= 500
    assert wanted(view("0.003", "1000000"), at(-60)) == ()


def test_it_sells_one_notional_of_more() -> None:
    [want] = wanted(view("0.0025", "1000000"), at(60))

    assert Decimal("0.00098") < want.quantity < Decimal("0.001")


def test_it_gives_up_whole_at_its_stop_loss_wherever_the_anchor_is() -> None:
    [want] = wanted(view("0.0025", "1050000"), at(0))

    assert (want.side, want.quantity) == (Side.SELL, Decimal("0.0025"))
    assert want.reason.startswith("stop loss")


def test_it_wants_nothing_beside_an_order_of_its_own() -> None:
    busy = view("0.001", "1000000", "buy", "sell", name="mean_reversion")

    assert wanted(busy, at(-60)) == wanted(busy, at(60)) == ()


def test_it_rests_between_two_buys() -> None:
    seen = view()
    state, _ = decide(start(PARAMS), PARAMS, seen, CALM, START_NS)
    state, first = decide(state, PARAMS, seen, at(-60), START_NS + 10 * SECOND)
    state, early = decide(state, PARAMS, seen, at(-60), START_NS + 14 * SECOND)
    _, later = decide(state, PARAMS, seen, at(-60), START_NS + 15 * SECOND)

    assert (len(first), len(early), len(later)) == (1, 0, 1)


def test_a_wide_spread_buys_nothing() -> None:
    assert wanted(view(), at(-60), params=replace(PARAMS, spread_max_bps=0.1)) == ()
