"""Momentum in the actor: it buys what rose over the last day, and nothing else however deep."""

from decimal import Decimal
from typing import Any

from msgspec import Struct

from actors import strategy
from btcbot.domain.decisions import DecisionRecord, Why
from btcbot.domain.ids import Pair
from btcbot.domain.instruments import FEES_TRY
from btcbot.domain.messages import InstrumentRules, OrderIntent
from btcbot.domain.words import Side
from btcbot.pipeline.seats import SeatSetup, Setup
from btcbot.portfolio import by_momentum
from btcbot.portfolio.budget import PlanLimits
from bus.actor import Actor, Ask, CaughtUp, PeerBack, Publish, Woken
from tests import builders as make
from tests.builders import SECOND_NS, START_NS
from tests.portfolio.markets import DAY, MINUTE, candle, instrument

A_DAY_AGO = START_NS // MINUTE * MINUTE - DAY
CAPS = PlanLimits(
    cash_reserve=Decimal(1_000), cycle_max=Decimal(8_000), order_max=Decimal(5_000), orders_max=9
)


def pair_of(base: str) -> Pair:
    return Pair(f"{base}TRY")


def hosting(*bases: str, caps: PlanLimits = CAPS) -> Actor[Any]:
    """Return an actor with 10,000 TRY that follows `bases` at 100 TRY each, 200,000 TRY deep."""
    seat = SeatSetup(name="momentum", uses="momentum", params=by_momentum.Params())
    fees = {pair_of(base): FEES_TRY for base in bases}
    actor = strategy.actor(Setup(seats=(seat,), limits=caps), fees)
    hear(
        actor,
        *(PeerBack(source=p, epoch=1, pid=1) for p in ("market_data", "risk_gate", "execution")),
        CaughtUp(head=1),
        make.trading(),
        make.balances(TRY=10_000),
        InstrumentRules(instruments=tuple(map(instrument, bases)), at_ns=START_NS),
        *(make.feed_state(pair=pair_of(base)) for base in bases),
    )
    for base in bases:
        quote(actor, base)
    return actor


def hear(actor: Actor[Any], *messages: Struct, now_ns: int = START_NS) -> list[Struct]:
    return [e for m in messages for e in actor.handle(actor.state, m, now_ns).effects]


def quote(actor: Actor[Any], base: str, middle: str = "100", now_ns: int = START_NS) -> None:
    half = Decimal("0.01")
    top = make.book_top(
        pair=pair_of(base), bid=Decimal(middle) - half, ask=Decimal(middle) + half,
        bid_quantity=2_000, ask_quantity=2_000, confirmed_ns=now_ns,
    )  # fmt: skip
    hear(actor, top, now_ns=now_ns)


def was(actor: Actor[Any], base: str, price: str) -> None:
    """Tell what a pair cost a day ago."""
    hear(actor, candle(A_DAY_AGO, price, pair=pair_of(base)))


def looked(actor: Actor[Any], after_s: int = 0) -> tuple[dict[Pair, OrderIntent], dict[Pair, Why]]:
    """Return what it orders at its next look, and what the record says of every pair."""
    now_ns = START_NS + after_s * SECOND_NS
    effects = hear(actor, Woken(name="tick", due_ns=now_ns), now_ns=now_ns)
    asked = [e.message for e in effects if isinstance(e, Ask)]
    said = [e.message for e in effects if isinstance(e, Publish)]
    orders = {m.pair: m for m in asked if isinstance(m, OrderIntent)}
    records = [m for m in said if isinstance(m, DecisionRecord)]
    return orders, {line.pair: line.why for record in records for line in record.lines}


def test_what_rose_over_the_day_is_bought_and_what_fell_or_stood_is_not_however_deep() -> None:
    actor = hosting("UP", "DOWN", "FLAT")
    for base, price in (("UP", "95"), ("DOWN", "130"), ("FLAT", "100")):
        was(actor, base, price)

    orders, whys = looked(actor)

    assert set(orders) == {"UPTRY"}
    assert orders[pair_of("UP")].side is Side.BUY
    assert whys[pair_of("DOWN")] is whys[pair_of("FLAT")] is Why.NOT_RISING


def test_a_pair_that_rose_when_it_was_scored_and_has_fallen_since_is_not_bought() -> None:
    actor = hosting("A", "B")
    was(actor, "A", "95")
    was(actor, "B", "95")
    first, _ = looked(actor)
    assert set(first) == {"ATRY", "BTRY"}
    for intent in first.values():
        hear(actor, make.not_sent(intent))

    now_ns = START_NS + 300 * SECOND_NS
    quote(actor, "A", "100", now_ns)
    quote(actor, "B", "94", now_ns)
    orders, whys = looked(actor, after_s=300)

    assert set(orders) == {"ATRY"}
    assert whys[pair_of("B")] is Why.NOT_RISING


def test_a_pair_whose_day_nobody_knows_is_not_bought() -> None:
    actor = hosting("KNOWN", "NEW")
    was(actor, "KNOWN", "95")

    assert set(looked(actor)[0]) == {"KNOWNTRY"}


def test_a_day_that_becomes_known_after_the_first_look_counts_at_the_next() -> None:
    actor = hosting("A")
    assert not looked(actor)[0]

    was(actor, "A", "95")
    quote(actor, "A", "100", START_NS + 300 * SECOND_NS)

    assert set(looked(actor, after_s=300)[0]) == {"ATRY"}


def test_what_may_be_spent_is_split_by_the_scores_within_every_cap() -> None:
    actor = hosting("A", "B")
    was(actor, "A", "95")
    was(actor, "B", "50")  # The better score: the larger part.

    orders, _ = looked(actor)

    cost = {pair: o.quantity * o.limit_price for pair, o in orders.items()}
    assert cost[pair_of("A")] < cost[pair_of("B")] <= CAPS.order_max
    assert sum(cost.values(), Decimal(0)) <= CAPS.cycle_max


def test_nothing_is_spent_of_the_reserve() -> None:
    actor = hosting("A", caps=PlanLimits(cash_reserve=Decimal(9_950)))
    was(actor, "A", "95")

    assert not looked(actor)[0]
