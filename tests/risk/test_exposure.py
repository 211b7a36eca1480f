"""What is held and may be bought counts quantity x price: to the gate, to people, to a plan."""

import os
import subprocess
import sys
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from btcbot.domain.ids import Asset, IntentId, Pair
from btcbot.domain.instruments import DOCUMENTED, FEES_TRY
from btcbot.domain.messages import AssetBalance
from btcbot.domain.money import Amount, Price, Quantity
from btcbot.domain.standing import Standing
from btcbot.domain.words import Side
from btcbot.ledger import holdings
from btcbot.pipeline import book
from btcbot.pipeline.book import Books, Market
from btcbot.risk import exposure
from btcbot.risk.exposure import Resting
from btcbot.risk.limits import RiskLimits
from btcbot.risk.picture import Picture, gross_in_try
from btcbot.risk.uses import uses
from btcbot.strategies.contract import Holding
from tests import builders as make
from tests.builders import START_NS

TRY = Asset("TRY")
PAIRS = tuple(Pair(name) for name in ("BTCTRY", "ETHTRY", "USDTTRY"))
D = Decimal
SIZES = st.decimals(0, 1_000, places=8)
PRICES = st.decimals("0.01", 9_000_000, places=2)
SIDES = st.sampled_from(Side)
WORLDS = st.tuples(
    st.tuples(SIZES, SIZES, SIZES),
    st.tuples(PRICES, PRICES, PRICES),
    st.lists(st.tuples(st.sampled_from(PAIRS), SIDES, SIZES, PRICES), max_size=5),
)
World = tuple[tuple[D, ...], tuple[D, ...], list[tuple[Pair, Side, D, D]]]


def orders_of(world: World) -> list[Resting]:
    return [
        Resting(
            make.intent(
                n, pair=pair, side=side, quantity=Quantity(left), limit_price=Price(price),
                slot=f"s:{n}", intent_id=IntentId(f"{n:026d}"), strategy="s",
            ),
            left,
        )
        for n, (pair, side, left, price) in enumerate(world[2], 1)
    ]  # fmt: skip


def picture_of(world: World) -> Picture:
    held, asks, _ = world
    tops = (make.book_top(pair=p, bid=a / 2, ask=a) for p, a in zip(PAIRS, asks, strict=True))
    return Picture(
        limits=RiskLimits(),
        fees={},
        rules={pair: DOCUMENTED[pair] for pair in PAIRS},
        marks={top.pair: top for top in tops},
        exposure=exposure.of(*orders_of(world)),
        held={pair: size for pair, size in zip(PAIRS, held, strict=True) if size},
        standing=Standing(equity=D(1_000_000)),
    )


def worth(world: World) -> dict[Pair, Decimal]:
    """Return each pair's exposure, written a second time: balances x marks, and live buys."""
    held, asks, orders = world
    return {
        pair: size * ask
        + sum((left * at for p, side, left, at in orders if p == pair and side is Side.BUY), D(0))
        for pair, size, ask in zip(PAIRS, held, asks, strict=True)
    }


@given(WORLDS)
def test_exposure_and_concentration_are_quantities_at_their_marks(world: World) -> None:
    picture, each = picture_of(world), worth(world)

    shown = {row.name: row.used for row in uses(picture, START_NS)}

    assert gross_in_try(picture) == sum(each.values())
    assert abs(shown["gross_exposure_max_try"] - sum(each.values())) <= D("0.000000005")
    assert abs(shown["position_notional_max_try"] - max(each.values())) <= D("0.000000005")
    assert abs(shown["concentration_max_bps"] - max(each.values()) / 100) <= D("0.000000005")


@given(WORLDS)
def test_a_plan_counts_the_exposure_that_the_gate_counts(world: World) -> None:
    picture, (held, _, _) = picture_of(world), world
    rows = (AssetBalance(TRY, Amount(D(0)), Amount(D(0))),)
    books = Books(accounts=holdings.state({}, rows, START_NS))
    for order in orders_of(world):
        book.rest(books, order.intent)
    books.unclaimed = {p: Holding(size, D(1)) for p, size in zip(PAIRS, held, strict=True)}
    market = Market(
        quote=TRY, rules=picture.rules, fees=dict.fromkeys(PAIRS, FEES_TRY), tops=picture.marks
    )

    assert book.account(books, (), market, START_NS).exposure == gross_in_try(picture)


def test_the_hash_of_what_a_decision_was_made_from_is_the_same_in_every_process() -> None:
    script = (
        "from tests.pipeline.test_decision import buy, decided, question;"
        " print(decided(question(buy(10))).record.inputs)"
    )

    found = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }

    assert len(found) == 1
    assert len(found.pop().strip()) == 16
