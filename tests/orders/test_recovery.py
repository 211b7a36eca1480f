"""A restart after any fact is the same desk: what SQLite says is what the facts add up to."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from btcbot.domain.facts import EpochStarted, Fact, OrderUnknown, TradingStateChanged
from btcbot.domain.ids import CommandId, OrderId
from btcbot.domain.messages import Scope, SetPause
from btcbot.domain.venue import Outcome
from btcbot.domain.words import OrderState as S
from btcbot.domain.words import Side, TradingState
from btcbot.orders.lifecycle import is_terminal
from btcbot.orders.recovery import desk_of
from btcbot.orders.state import Desk, Order
from btcbot.orders.turn import fold
from btcbot.store.writer import Writer
from tests.orders.desks import BTC, ETHTRY, SECOND, Floor, intent, listed, ready, setup, trade

LEARNT_AGAIN = {
    "setup", "epoch", "marks", "rules", "clock", "clock_read_ns", "idle_connections",
    "risk_gate_is_heard", "control_pid", "control_is_lost", "changed_ns", "due", "waiting",
    "hunts", "first_reads", "unauthorised", "trouble", "mismatch", "foreign", "fills_read_ns",
}  # fmt: skip


def durable(desk: Desk) -> dict[str, Any]:
    """Return what a desk must remember across lives."""
    kept = {
        name: getattr(desk, name) for name in desk.__struct_fields__ if name not in LEARNT_AGAIN
    }
    return kept | {
        "orders": {name: bare(order) for name, order in desk.orders.items()},
        "live": set(desk.live),
        "ended": set(desk.ended),
        "ledger": {asset: total for asset, total in desk.ledger.items() if total},
    }


def bare(order: Order) -> Order:
    """Return an order without what is only a matter of time: repeats, and sweeps begun again."""
    return replace(order, cancel_due_ns=0, cancels_sent=0, sweeps=())


def assert_every_prefix_recovers(facts: list[Fact]) -> None:
    """Write facts one by one; after each, SQLite and the fold must give the same desk."""
    writer, folded = Writer(":memory:"), Desk(setup=setup())
    for fact in facts:
        if isinstance(fact, EpochStarted):
            writer.epoch = fact.epoch
        writer.commit((fact,), writer.head + 1)
        folded.head += 1
        fold(folded, fact)
        recovered = desk_of(setup(), writer.reader.recover())
        assert durable(recovered) == durable(folded), fact
        assert recovered.epoch == folded.epoch + 1
    writer.close()


def act(floor: Floor, what: str, number: int) -> None:  # noqa: C901, PLR0912 - a list of things
    """Let one thing happen that may happen; `number` says to which order."""
    wanted = intent(
        number,
        pair=ETHTRY if number % 3 == 0 else intent().pair,
        side=Side.SELL if number % 2 else Side.BUY,
        limit_price="2510000" if number % 2 else "2490000",
        quantity="0.0004",
        expires_ns=floor.now_ns + 40 * SECOND,
    )
    order = floor.desk.orders.get(wanted.intent_id)
    order_id = 100 + number
    match what:
        case "approve":
            floor.approve(wanted)
        case "ack" if order:
            floor.reply(wanted, Outcome.ACKED, order_id=OrderId(order_id))
        case "reject" if order:
            floor.reply(wanted, Outcome.REJECTED, code="1055")
        case "doubt" if order:
            floor.reply(wanted, Outcome.UNKNOWN)
        case "not sent" if order:
            floor.reply(wanted, Outcome.NOT_SENT)
        case "list" if order:
            floor.open.append(listed(order_id, wanted))
        case "fill" if order:
            floor.trades.append(trade(number, order_id, wanted, quantity="0.0001", fee="0.5"))
        case "end" if order:
            floor.open = [row for row in floor.open if row.order_id != order_id]
            floor.ended.append(listed(order_id, wanted, left="0.0003", status="Canceled"))
        case "foreign":
            floor.trades.append(trade(50 + number, 900 + number))
        case "pause":
            until = floor.now_ns + 5 * SECOND if number % 2 else None
            name = CommandId(f"p{len(floor.facts)}")
            scope = Scope(pair=wanted.pair, side=wanted.side if number > 3 else None)
            floor.hear(
                SetPause(
                    command_id=name, scope=scope, is_paused=number % 4 != 0, until_ns=until,
                    by="x", reason="y",
                )
            )  # fmt: skip
        case "state":
            state = list(TradingState)[number % 4]
            floor.command(state, f"s{len(floor.facts)}", acknowledge=str(floor.desk.trading_seq))
        case "money":
            floor.move(BTC, intent().quantity, intent().quantity)
        case "restart":
            floor.restart().open_up()
        case _:
            floor.wait(number)


THINGS = [
    "approve", "approve", "approve", "ack", "ack", "reject", "doubt", "doubt", "not sent", "list",
    "fill", "fill", "end", "end", "foreign", "pause", "state", "money", "restart", "wait", "wait",
]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(happenings=st.lists(st.tuples(st.sampled_from(THINGS), st.integers(1, 6)), max_size=30))
def test_a_crash_after_any_fact_recovers_to_what_the_facts_add_up_to(
    happenings: list[tuple[str, int]],
) -> None:
    floor = ready()
    history = [fact for _, fact in floor.writer.reader.facts_after(0, TAGS, 500)[0]]
    for what, number in happenings:
        act(floor, what, number)
    assert_every_prefix_recovers([*history, *floor.facts])


TAGS = ("epoch_started", "opening", "balances", "trading_state_changed")


def test_each_kind_of_end_and_every_detour_recovers() -> None:
    floor = ready()
    history = [fact for _, fact in floor.writer.reader.facts_after(0, TAGS, 500)[0]]
    for what, number in [
        ("approve", 3), ("not sent", 3), ("approve", 5), ("reject", 5),
        ("approve", 1), ("ack", 1), ("list", 1), ("fill", 1), ("wait", 5), ("end", 1), ("wait", 9),
        ("approve", 2), ("doubt", 2), ("wait", 6), ("state", 3), ("list", 2), ("wait", 6),
        ("restart", 1), ("list", 3), ("wait", 60), ("state", 2), ("pause", 1), ("wait", 6),
        ("pause", 2), ("money", 1), ("wait", 6), ("foreign", 1), ("wait", 60),
    ]:  # fmt: skip
        act(floor, what, number)
    kinds = {type(fact).__name__ for fact in floor.facts}
    assert kinds >= {
        "OrderClosed", "OrderUnknown", "OrderCancelRequested", "OrderNotSent", "OrderRejected",
        "OrderZombie", "Discrepancy", "PauseChanged", "Fill",
    }  # fmt: skip
    assert_every_prefix_recovers([*history, *floor.facts])


def test_what_was_being_sent_is_in_doubt_and_is_not_sent_again() -> None:
    floor = ready()
    wanted = intent()
    floor.approve(wanted)
    for _ in range(20):
        floor.restart()
    floor.open_up()

    assert len(floor.said(OrderUnknown)) == 1
    assert floor.state(wanted) is S.UNKNOWN
    assert len(floor.posts) == 1
    assert floor.approve(wanted).rule is None  # The stored answer: it was accepted once.
    assert len(floor.posts) == 1


def test_each_life_has_an_epoch_of_its_own_and_one_instance() -> None:
    floor = Floor()
    floor.restart().restart()
    lives = floor.said(EpochStarted)
    assert [life.epoch for life in lives] == [1, 2, 3]
    assert {life.instance for life in lives} == {"tests"}


def test_the_trading_state_is_set_by_the_first_start_and_kept_by_all_others() -> None:
    live, sandbox = Floor(mode="live"), Floor()
    assert live.desk.trading is TradingState.PAUSED
    assert sandbox.desk.trading is TradingState.LIVE
    sandbox.command(TradingState.PAUSED, "p")
    assert sandbox.restart().desk.trading is TradingState.PAUSED
    assert len(sandbox.said(TradingStateChanged)) == 2


def test_nothing_is_sent_before_every_first_read_came_back() -> None:
    floor = ready()
    floor.restart()
    waiting = set(floor.desk.first_reads)
    assert waiting == {"clock", "balances", "fills", "open BTCTRY", "open ETHTRY"}
    assert floor.approve(intent()).rule is not None
    assert not floor.posts


def test_orders_that_ended_are_remembered() -> None:
    floor = ready()
    wanted = intent()
    floor.approve(wanted)
    floor.reply(wanted, Outcome.REJECTED, code="1055")
    floor.restart()
    assert is_terminal(floor.state(wanted))
    assert wanted.intent_id in floor.desk.ended
