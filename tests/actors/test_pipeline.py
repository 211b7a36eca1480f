"""All actors of the order path on one bus, every message as bytes, against the exchange model."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final

import pytest
from msgspec import Struct

from btcbot.backtest import ACTORS, Stage
from btcbot.domain.facts import (
    Fill,
    OrderAbsent,
    OrderAcked,
    OrderClosed,
    OrderNotSent,
    OrderRejected,
    OrderSubmitting,
)
from btcbot.domain.messages import (
    AccountSnapshot,
    ApprovedOrder,
    BookTop,
    FeedState,
    IntentVerdict,
    OrderIntent,
    RefuseIntent,
)
from btcbot.domain.money import ZERO, text
from btcbot.domain.recorded import Happening
from btcbot.store.queries import History
from btcbot.strategies.contract import NO_HOLDING
from tests.builders import BTCTRY, SECOND_NS
from tests.hosting import Mischief
from tests.stages import STEP_NS, market, stage

ENDED: Final = (OrderClosed, OrderRejected, OrderNotSent, OrderAbsent)
PATH: Final = (BookTop, OrderIntent, ApprovedOrder, OrderSubmitting, OrderAcked, Fill, OrderClosed)
FACTS: Final = (OrderSubmitting, OrderAcked, Fill, *ENDED)
REQUESTS: Final = (OrderIntent, ApprovedOrder, RefuseIntent, IntentVerdict)
SECONDS: Final = 40


def until(events: Iterator[Happening], at_ns: int) -> Iterator[Happening]:
    """Yield the events up to `at_ns`; `events` can be gone on with."""
    for event in events:
        yield event
        if event.at_ns >= at_ns:
            return


def facts(played: Stage) -> list[Struct]:
    """Return the log of facts as the store has it."""
    rows, _ = played.journal.reader.facts_after(
        0, tuple(str(kind.__struct_config__.tag) for kind in FACTS), 1_000_000
    )
    return [fact for _, fact in rows]


def assert_no_slot_had_two_orders(played: Stage) -> None:
    live: dict[str, str] = {}
    for fact in facts(played):
        if isinstance(fact, OrderSubmitting):
            intent = fact.intent
            assert intent.slot not in live.values(), f"{intent.slot} has two orders"
            assert intent.intent_id not in live
            live[intent.intent_id] = intent.slot
        elif isinstance(fact, ENDED):
            del live[fact.intent_id]
    assert not live


def assert_all_agree(played: Stage) -> None:
    """Exchange, database, gate, strategy and accounts tell one story, and nothing is left open."""
    bus, exchange, now_ns = played.bus, played.exchange, played.clock.now_ns()
    history = History(played.journal.reader)
    theirs = sorted(order.client_id for order in exchange.all_orders(now_ns, BTCTRY, 0))
    ours = sorted(row["client_order_id"] for row in history.orders() if row["order_id"])
    assert theirs == ours
    assert len(set(theirs)) == len(theirs)
    booked = sorted(row["trade_id"] for row in history.fills())
    assert booked == sorted(trade.id for trade in exchange.trades(now_ns, 0))
    assert not bus.state("execution").live
    assert not bus.state("risk_gate").exposure.orders
    seat = bus.state("strategy").seats["profit_aware"]
    assert not seat.view.live
    assert not bus.state("strategy").books.live
    totals = {asset: balance.total for asset, balance in exchange.balances().items()}
    account = bus.heard(AccountSnapshot)[-1]
    assert {row.asset: row.total for row in account.balances} == totals
    positions = {row.pair: row.quantity for row in account.positions}
    assert list(positions) == [BTCTRY] * bool(booked)  # Mischief may have kept every order away.
    held = positions.get(BTCTRY, ZERO)
    assert seat.view.holdings.get(BTCTRY, NO_HOLDING).quantity == held
    assert bus.state("risk_gate").held.get(BTCTRY, ZERO) == held


@pytest.fixture(scope="module")
def quiet() -> Stage:
    """Return a stage on which nothing went wrong."""
    played = stage()
    played.play(market(SECONDS))
    return played


def test_one_tick_goes_from_a_frame_to_a_row_and_into_the_account(quiet: Stage) -> None:
    said = quiet.bus.log
    closed = quiet.bus.heard(OrderClosed)[0]
    [submitting] = [
        f for f in quiet.bus.heard(OrderSubmitting) if f.intent.intent_id == closed.intent_id
    ]
    intent = submitting.intent
    about: dict[type[Struct], Any] = {
        BookTop: intent.seen_ns,
        OrderIntent: intent,
        ApprovedOrder: intent,
    }
    assert quiet.bus.heard(OrderIntent)[0] == intent
    places = [_place(said, kind, about.get(kind, intent.intent_id)) for kind in PATH]
    assert all(earlier < later for earlier, later in pairwise(places)), places

    [fill] = [f for f in quiet.bus.heard(Fill) if f.intent_id == intent.intent_id]
    row = History(quiet.journal.reader).order(intent.intent_id)
    assert row is not None
    assert (row["state"], row["filled"]) == ("CLOSED", text(fill.quantity))
    assert (row["limit_price"], row["client_order_id"]) == (
        text(intent.limit_price),
        submitting.client_order_id,
    )
    shown = next(
        message
        for message in said[places[-1] :]
        if isinstance(message, AccountSnapshot) and message.positions
    )
    assert shown.positions[0].quantity == fill.quantity


def _place(said: list[Struct], kind: type[Struct], about: Any) -> int:
    """Return where in the log `kind` was said of an intent, or of the price it was decided on."""
    for place, message in enumerate(said):
        if type(message) is not kind:
            continue
        found = {
            BookTop: lambda m: m.confirmed_ns,
            OrderIntent: lambda m: m,
            ApprovedOrder: lambda m: m.intent,
            OrderSubmitting: lambda m: m.intent.intent_id,
        }.get(kind, lambda m: m.intent_id)(message)
        if found == about:
            return place
    raise AssertionError(f"{kind.__name__} was not said of {about}")


def test_when_nothing_goes_wrong_all_agree_in_the_end(quiet: Stage) -> None:
    assert len(quiet.bus.heard(Fill)) >= 4
    assert_no_slot_had_two_orders(quiet)
    assert_all_agree(quiet)


def test_with_the_codec_a_backtest_says_the_same_as_without(quiet: Stage) -> None:
    bare = stage(has_codec=False)
    bare.play(market(SECONDS))

    assert [type(m) for m in bare.bus.log] == [type(m) for m in quiet.bus.log]
    assert bare.bus.log == quiet.bus.log


def test_the_same_market_is_the_same_run(quiet: Stage) -> None:
    again, other = stage(), stage()
    again.play(market(SECONDS))
    other.play(market(SECONDS, seed=2))

    assert again.bus.log == quiet.bus.log
    assert other.bus.log != quiet.bus.log


@pytest.mark.parametrize("after_ms", [0, 5, 15, 30, 45, 60, 700])
@pytest.mark.parametrize("name", ACTORS)
def test_an_actor_that_dies_around_an_order_loses_nothing_and_doubles_nothing(
    name: str, after_ms: int, quiet: Stage
) -> None:
    first = quiet.bus.heard(OrderSubmitting)[0].at_ns  # The wish, its POST, the reply after 50 ms.
    at_ns, played, events = first - 1 + after_ms * 1_000_000, stage(), market(SECONDS)
    for _ in range(3):  # Dead for two seconds, three times.
        played.follow(until(events, at_ns - STEP_NS))
        played.bus.run_until(at_ns)
        played.bus.crash(name)
        played.follow(until(events, at_ns + 2 * SECOND_NS))
        played.start(name)
        at_ns += 7 * SECOND_NS
    before = len(played.bus.heard(OrderSubmitting))
    played.play(events)

    assert len(played.bus.heard(OrderSubmitting)) > before
    assert_no_slot_had_two_orders(played)
    assert_all_agree(played)


@pytest.mark.parametrize("seed", range(12))
def test_messages_lost_repeated_and_late_never_lead_to_two_orders_for_a_slot(seed: int) -> None:
    mischief = Mischief(seed, (*REQUESTS, *FACTS, BookTop, FeedState))
    played = stage(faults=mischief)
    played.play(market(SECONDS, seed=seed + 1))

    assert all(count > 10 for count in mischief.did.values())
    assert played.bus.heard(OrderIntent)  # Of some every wish is refused: its price came late.
    assert_no_slot_had_two_orders(played)
    assert_all_agree(played)
