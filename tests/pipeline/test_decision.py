"""One decision: no more than a seat's part, nothing enlarged, and a policy that can only take."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from btcbot.domain.decisions import DecisionRecord, Trigger, Why
from btcbot.domain.ids import Asset
from btcbot.domain.money import ZERO
from btcbot.domain.policy import Judgement, Planned, PolicyContext, Ruling
from btcbot.domain.words import Side, TradingState
from btcbot.pipeline.decision import Decision, Question, decide, fits
from btcbot.portfolio.account import Account, Book, Wish
from btcbot.portfolio.budget import rooms
from btcbot.portfolio.plan import Cycle
from btcbot.portfolio.reasons import Reason
from tests.portfolio.accounts import LIMITS, A, B, C, account, book, buy, line, sell
from tests.portfolio.markets import START, D

CONTEXT = PolicyContext(
    decision="1.1", now_ns=START, trading=TradingState.LIVE, quote=Asset("TRY"), cash_free=D(1),
    exposure=None, deploy=D(1), pairs={},
)  # fmt: skip


class Says:
    """A policy that rules each order by a function of what is planned."""

    NAME = "says"
    HEARS: tuple[type[msgspec.Struct], ...] = ()

    def __init__(self, rule: Callable[[Planned], Decimal], extra: int = 0) -> None:
        self.rule, self.extra = rule, extra

    def start(self) -> int:
        return 0

    def hear(self, state: int, message: msgspec.Struct, now_ns: int) -> int:  # noqa: ARG002
        return state

    def due(self, state: int) -> tuple[msgspec.Struct, ...]:  # noqa: ARG002
        return ()

    def judge(self, state: int, context: PolicyContext, planned: tuple[Planned, ...]) -> Judgement:
        assert context.decision
        rulings = [Ruling(self.rule(order), "because") for order in planned]
        return Judgement(state=state + 1, rulings=(*rulings, *[Ruling(ZERO)] * self.extra))


def question(
    *wishes: Wish, on: Account | None = None, books: tuple[Book, ...] | None = None, **limits: Any
) -> Question:
    return Question(
        epoch=1,
        number=1,
        trigger=Trigger.QUOTE,
        account=on or account(),
        books=books or (book(),),
        wishes=wishes,
        barred=(),
        idle=(),
        limits=replace(LIMITS, **limits),
        cycle=Cycle(now_ns=START, trading=TradingState.LIVE),
    )


def decided(asked: Question, policy: Says | None = None) -> Decision:
    return decide(asked, policy, 0, CONTEXT if policy else None)


AMOUNTS = st.decimals("0.001", "5000", places=3)
PRICES = st.decimals("1", "500", places=2)
WEIGHTS = st.integers(0, 300)


@given(st.lists(st.tuples(st.sampled_from((A, B, C)), AMOUNTS, PRICES), max_size=6),
       WEIGHTS, WEIGHTS, st.integers(0, 1_000_000))  # fmt: skip
def test_what_a_seat_orders_never_exceeds_its_part_and_no_order_is_larger_than_its_wish(
    rows: list[tuple[Any, Decimal, Decimal]], weight: int, other: int, cash: int
) -> None:
    on = account(cash)
    books = (book("s", weight=weight), book("t", weight=other))
    wishes = {
        (strategy, pair): buy(str(quantity), str(price), pair=pair, strategy=strategy)
        for number, (pair, quantity, price) in enumerate(rows)
        for strategy in ("st"[number % 2],)
    }

    found = decided(question(*wishes.values(), on=on, books=books))

    room = rooms(on, books, LIMITS)
    assert room is not None
    for strategy in ("s", "t"):
        orders = [o.planned for o in found.orders if o.planned.strategy == strategy]
        assert sum((o.quantity * o.limit_price for o in orders), ZERO) <= room[strategy]
        for order in orders:
            wish = wishes[strategy, order.pair]
            assert order.quantity <= wish.quantity
            assert order.limit_price <= wish.limit_price


@example(answer=D(2), is_sale=False)  # As little as the minimum.
@given(st.decimals(allow_nan=False) | st.just(D("NaN")), st.booleans())
def test_whatever_a_policy_answers_nothing_grows_and_nothing_below_the_minimum_goes(
    answer: Decimal, is_sale: bool
) -> None:
    on = account(100_000, line("A", held="50", free="50"))
    wish = sell(10) if is_sale else buy(10)
    asked = question(wish, on=on, books=(book(held={A: D(50)}),), notional_min=D(200))

    found = decided(asked, Says(lambda _: answer))

    for order in found.orders:
        assert D(2) <= order.planned.quantity <= min(D(10), answer)
    assert bool(found.orders) is (answer.is_finite() and answer >= 2)


def test_a_policy_lets_less_pass_and_the_record_has_its_reason() -> None:
    found = decided(question(buy(10)), Says(lambda order: order.quantity / 2))

    [order], [told] = found.orders, found.record.lines
    assert order.planned.quantity == 5
    assert (told.ordered, told.why, told.intent_id) == (D(5), Why.POLICY, order.intent_id)
    assert told.cuts[-1].detail == "because"
    assert found.record.policy == "says"
    assert found.judgement is not None
    assert found.judgement.state == 1


def test_a_policy_that_answers_another_question_lets_nothing_pass() -> None:
    found = decided(question(buy(10)), Says(lambda order: order.quantity, extra=1))

    assert not found.orders
    assert found.record.lines[0].cuts[-1].detail == "2 rulings for 1 orders"


def test_a_policy_is_not_asked_when_nothing_is_planned() -> None:
    assert decided(question(buy(0)), Says(lambda _: D(1))).judgement is None


def test_a_wish_of_nobody_with_a_part_is_refused_by_its_code() -> None:
    found = decided(question(buy(10, strategy="stranger")))

    assert [told.why for told in found.record.lines] == [Why.NO_BOOK]


def test_every_reason_of_the_plan_is_one_of_the_record() -> None:
    assert {reason.value for reason in Reason} <= {why.value for why in Why}


def test_equal_inputs_have_equal_hashes_and_another_price_another() -> None:
    first, again = decided(question(buy(10))), decided(question(buy(10)))
    other = decided(question(buy(10), on=account(100_000, line("A", middle="101"))))

    assert first == again
    assert first.record.inputs != other.record.inputs


def test_a_record_that_is_too_large_loses_lines_without_an_intent_and_counts_them() -> None:
    wishes = [buy(10), *(buy(0, pair=pair) for pair in (B, C))]
    record = decided(question(*wishes)).record
    room = len(msgspec.json.encode(record)) - 1

    cut, said = fits(record, room)

    assert len(said) <= room
    assert cut.left_out == 1
    assert [told.intent_id is None for told in cut.lines] == [False, True]
    assert msgspec.json.decode(said, type=DecisionRecord) == cut


def test_a_record_of_intents_alone_that_is_too_large_keeps_each_order_and_loses_words() -> None:
    wishes = [buy(10, pair=pair, reason="long" * 50) for pair in (A, B, C)]
    record = decided(question(*wishes, orders_max=9, order_max=D(500))).record
    assert all(told.intent_id and told.cuts for told in record.lines)

    cut, said = fits(record, 1_100)

    assert len(said) <= 1_100
    assert cut.left_out == 0
    kept = [(told.intent_id, told.ordered, told.why) for told in cut.lines]
    assert kept == [(told.intent_id, told.ordered, told.why) for told in record.lines]


@pytest.mark.parametrize("side", Side)
def test_reduce_lets_sells_alone_pass(side: Side) -> None:
    on = account(100_000, line("A", held="50", free="50"))
    asked = question(buy(10, side=side), on=on, books=(book(held={A: D(50)}),))
    asked = replace(asked, cycle=Cycle(now_ns=START, trading=TradingState.REDUCE))

    assert bool(decided(asked).orders) is (side is Side.SELL)
