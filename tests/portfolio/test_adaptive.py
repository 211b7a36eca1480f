"""`adaptive`: its parameters have bounds, and each that it may change changes what it wishes."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from btcbot.domain.ids import Pair
from btcbot.domain.words import Side
from btcbot.portfolio import adaptive
from btcbot.portfolio.account import Account
from btcbot.portfolio.adaptive import Params, screened
from btcbot.portfolio.picture import Picture
from btcbot.portfolio.reasons import Reason
from btcbot.portfolio.rebalance import Proposal
from btcbot.portfolio.tuning import NAMES, Bounds, Rollback
from btcbot.portfolio.universe import UniverseRules
from tests.portfolio.accounts import LIMITS, A, B, C, account, line
from tests.portfolio.markets import D

PAIRS = (A, B, C)


def wished(params: Params, on: Account | None = None, pairs: tuple[Pair, ...] = PAIRS) -> Proposal:
    """Return what the first version of `params` wishes; everything is at 100 TRY."""
    picture = Picture(
        account=on or account(9_000), limits=LIMITS, universe=pairs, scores={}, rising=()
    )
    return adaptive.propose(adaptive.start(params), params, picture, 0)[1]


def spent(found: Proposal) -> dict[Pair, Decimal]:
    """Return what is bought of each pair, in whole TRY: a third has no end."""
    buys = (w for w in found.wishes if w.side is Side.BUY)
    return {w.pair: round(w.quantity * w.limit_price, 0) for w in buys}


PLAIN = Params(offset_bps=D(0), band=D(0))


def test_every_pair_is_to_have_the_same_and_each_wish_names_its_version() -> None:
    found = wished(replace(PLAIN, cycle_max=D(9_000)))

    assert spent(found) == dict.fromkeys(PAIRS, D(3_000))
    assert {wish.reason for wish in found.wishes} == {"version 1"}


def test_no_more_is_bought_at_one_look_than_cycle_max_and_the_rest_is_told() -> None:
    found = wished(replace(PLAIN, cycle_max=D(5_000)))

    assert spent(found) == {A: D(3_000), B: D(2_000)}
    assert [(row.pair, row.reason) for row in found.idle] == [(C, Reason.CYCLE_CAP)]


def test_no_more_is_ordered_at_one_look_than_orders_max_and_sells_come_first() -> None:
    on = account(3_000, line("A"), line("B"), line("C", held="60", free="60"))

    found = wished(replace(PLAIN, orders_max=2), on)

    assert [(wish.pair, wish.side) for wish in found.wishes] == [(A, Side.BUY), (C, Side.SELL)]
    assert [(row.pair, row.reason) for row in found.idle] == [(B, Reason.ORDERS_MAX)]


def test_a_sell_is_not_held_to_what_may_be_bought() -> None:
    on = account(0, line("A", held="90", free="90"), line("B"), line("C"))

    [sell] = wished(replace(PLAIN, cycle_max=D(500), orders_max=1), on).wishes

    assert (sell.pair, sell.side, sell.quantity) == (A, Side.SELL, D(60))


def test_offset_band_and_life_are_those_of_the_portfolio() -> None:
    far = replace(PLAIN, offset_bps=D(50), life_s=7, cycle_max=D(9_000))

    assert {(w.limit_price, w.life_ns) for w in wished(far).wishes} == {(D("99.5"), 7 * 10**9)}
    assert wished(replace(PLAIN, band=D(1))).wishes == ()


def test_the_screen_is_narrowed_by_the_version_and_never_widened() -> None:
    rules = UniverseRules(spread_max_bps=D(60), size=3)

    narrow = screened(replace(PLAIN, spread_max_bps=D(40), universe_size=2).values, rules)
    wide = screened(replace(PLAIN, spread_max_bps=D(90), universe_size=9).values, rules)

    assert (narrow.spread_max_bps, narrow.size) == (D(40), 2)
    assert wide == rules


OUTSIDE: list[tuple[dict[str, Any], str]] = [
    ({"offset_bps": 51}, "offset_bps = 51: allowed is 0 to 50, which is bounds.offset_bps"),
    ({"orders_max": 0}, "orders_max = 0: allowed is 1 to 8"),
    ({"cycle_max": 499}, "cycle_max = 499: allowed is 500 to 10000"),
    ({"spread_max_bps": "1000000"}, "spread_max_bps = 1000000: allowed is 10 to 100"),
    ({"universe_size": 21}, "universe_size = 21: allowed is 1 to 20"),
    ({"bounds": {"offset_bps": [6, 50]}}, "offset_bps = 5: allowed is 6 to 50"),
    ({"bounds": {"cycle_max": [900, 500]}}, "cycle_max = [900, 500]: expected [lowest, highest]"),
    ({"bounds": {"offset_bps": [0, 1_001]}}, "from 0 to 1000"),
    ({"bounds": {"offset_bps": ["NaN", 50]}}, "offset_bps = [NaN, 50]"),
    ({"bounds": {"orders_max": [1, 101]}}, "from 0 to 100"),
    ({"bounds": {"cycle_max": [-1, 9_000]}}, "cycle_max = [-1, 9000]"),
    ({"rollback": {"drawdown_max": 5}}, "drawdown_max = 5: allowed is above 0, up to 1, a part"),
    ({"rollback": {"drawdown_max": 0}}, "drawdown_max = 0"),
    ({"rollback": {"loss_max": -1}}, "loss_max = -1"),
    ({"rollback": {"rejects_max": 0}}, ">= 1"),
    ({"period_s": 59}, "period_s = 59: allowed is every_s = 60 or more"),
    ({"period_s": 0}, ">= 1"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "says"), OUTSIDE)
def test_a_first_value_outside_its_bounds_is_refused_with_what_is_allowed(
    given: dict[str, Any], says: str
) -> None:
    with pytest.raises(msgspec.ValidationError) as refused:
        msgspec.convert(given, Params, strict=False)

    assert says in str(refused.value)


def test_the_presets_begin_within_their_bounds() -> None:
    for params in (Params(), adaptive.DEMO):
        for name in NAMES:
            low, high = params.bounds.of(name)
            assert low < getattr(params.values, name) < high


def test_every_parameter_makes_another_first_version() -> None:
    """What is remembered of one configuration says nothing of another."""
    others: list[dict[str, Any]] = [
        {"offset_bps": D(6)}, {"bounds": Bounds(orders_max=(1, 6))},
        {"rollback": Rollback(rejects_max=4)}, {"band": D(1)}, {"period_s": 60}, {"life_s": 9},
    ]  # fmt: skip
    bases = {adaptive.start(replace(Params(), **other)).base for other in others}

    assert len(bases | {adaptive.start(Params()).base}) == len(others) + 1
