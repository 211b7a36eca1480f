"""The risk gate on the bus: what it lets pass, what it counts, and that it fails closed."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import pytest
from msgspec import Struct
from msgspec.structs import replace

from actors import risk_gate
from btcbot.domain.facts import Fact, LimitTightened, RiskModeSet
from btcbot.domain.ids import CommandId
from btcbot.domain.messages import (
    ApprovedOrder,
    IntentVerdict,
    OrderIntent,
    RefuseIntent,
    RiskState,
    Scope,
)
from btcbot.domain.words import Concern, FeedStatus, RiskMode, Rule, Side, TradingState
from btcbot.risk.limits import RiskLimits
from bus.actor import Ask, CaughtUp, PeerBack, RequestExpired
from tests import builders as make
from tests.builders import BTCTRY, ETHTRY, FEES, SECOND_NS, START_NS
from tests.hosting import Asker, Peer, WireBus, fold

LIMITS: Final = RiskLimits(buy_cooldown_ms=0)
ETH_WISH: Final = make.intent(
    5, pair=ETHTRY, quantity="0.025", limit_price=100_010
)  # 2,500 TRY, as a BTC wish is.


class Room:
    """The gate between a strategy that asks and an execution that answers what a test says."""

    def __init__(self, limits: RiskLimits = LIMITS, **totals: int | str) -> None:
        self.limits = limits
        self.bus = WireBus()
        self.strategy = Asker("strategy", to="risk_gate")
        self.execution = Peer("execution", (ApprovedOrder, RefuseIntent))
        others = [Peer(name, ()).actor for name in ("market_data", "dashboard")]
        for actor in (self.strategy.actor, self.execution.actor, *others):
            self.bus.start(actor)
        self.begin()
        self.bus.say_fact(make.trading())
        held = totals or {"TRY": 100_000, "BTC": 1}
        self.bus.say_fact(make.opening(START_NS, **held))
        self.hold(**held)

    def begin(self) -> None:
        """Begin a life of the gate, and let it hear what the market says every second."""
        self.bus.start(risk_gate.actor(self.limits, FEES))
        self.bus.publish("market_data", "rules", make.instrument_rules())
        self.quote()

    def quote(self) -> None:
        """Let the market say its prices again, as confirmed now."""
        for top in (make.book_top(), make.book_top(pair=ETHTRY, bid=99_990, ask=100_010)):
            now_ns = self.bus.now_ns
            mark = replace(top, confirmed_ns=now_ns)
            self.bus.publish("market_data", f"mark.{top.pair}", mark)
            state = make.feed_state(pair=top.pair)
            self.bus.publish("market_data", f"feed.{top.pair}", state)

    def hold(self, **totals: int | str) -> None:
        """Let the exchange state what the account holds."""
        self.bus.say_fact(make.balances(self.bus.now_ns, **totals))

    def judge(self, wish: OrderIntent) -> Rule | None:
        """Ask; return the rule that refuses, None for an approval. Nobody answers yet."""
        before = len(self.execution.heard)
        self.bus.deliver("strategy", wish)
        [heard] = self.execution.heard[before:]
        assert heard.intent == wish
        return heard.rule if isinstance(heard, RefuseIntent) else None

    def answer(self, wish: OrderIntent, rule: Rule | None = None) -> IntentVerdict:
        """Let execution answer when it is asked again; return what the strategy is told."""
        told: list[IntentVerdict] = self.strategy.heard
        before = len(told)
        self.execution.answers[wish.intent_id] = IntentVerdict(
            intent_id=wish.intent_id, rule=rule, detail="from the journal"
        )
        for _ in range(100):
            if len(told) == before:
                self.bus.advance(0.1)
        return told[-1]


@pytest.fixture
def room() -> Room:
    """Return a room in which everything is fresh, LIVE and paid for."""
    return Room()


def test_an_approval_goes_to_execution_and_its_verdict_comes_back_unchanged(room: Room) -> None:
    wish = make.intent()
    room.bus.deliver("strategy", wish)

    assert room.execution.heard == [ApprovedOrder(intent=wish, approved_ns=START_NS)]
    assert not room.strategy.heard

    assert room.answer(wish) == make.verdict(detail="from the journal")
    assert room.strategy.heard == [make.verdict(detail="from the journal")]


def test_a_refusal_is_written_down_by_execution_before_it_is_told(room: Room) -> None:
    wish = make.intent(quantity=1)
    room.bus.deliver("strategy", wish)

    [refuse] = room.execution.heard
    assert isinstance(refuse, RefuseIntent)
    assert (refuse.intent, refuse.rule) == (wish, Rule.ORDER_NOTIONAL)
    assert "2500010" in refuse.detail
    assert "5000" in refuse.detail
    assert not room.strategy.heard

    assert room.answer(wish, refuse.rule).rule is Rule.ORDER_NOTIONAL


NEEDED: Final[dict[str, tuple[Struct, Rule]]] = {
    "market_data": (PeerBack(source="market_data", epoch=1, pid=1), Rule.PEER_LOST),
    "execution": (PeerBack(source="execution", epoch=1, pid=1), Rule.PEER_LOST),
    "every fact": (CaughtUp(head=1), Rule.ACCOUNT_UNKNOWN),
    "the account": (make.opening(TRY=100_000), Rule.ACCOUNT_UNKNOWN),
    "the trading state": (make.trading(), Rule.TRADING_STATE),
    "the rules": (make.instrument_rules(), Rule.UNKNOWN_PAIR),
    "the feed's state": (make.feed_state(), Rule.STALE_BOOK),
    "a price": (make.book_top(), Rule.STALE_BOOK),
}


def judged(effects: list[Struct]) -> Any:
    """Return the message of the one Ask."""
    [asked] = [effect for effect in effects if isinstance(effect, Ask)]
    return asked.message


def test_it_approves_once_it_knows_everything_it_needs() -> None:
    heard = [message for message, _ in NEEDED.values()]

    said = judged(fold(risk_gate.actor(LIMITS, FEES), [*heard, make.intent()]))

    assert isinstance(said, ApprovedOrder)


@pytest.mark.parametrize("missing", NEEDED)
def test_it_refuses_everything_while_it_does_not_know(missing: str) -> None:
    heard = [message for name, (message, _) in NEEDED.items() if name != missing]

    said = judged(fold(risk_gate.actor(LIMITS, FEES), [*heard, make.intent()]))

    assert said.rule is NEEDED[missing][1]


@pytest.mark.parametrize("peer", ["market_data", "execution"])
def test_a_silent_peer_stops_approvals_until_the_peer_is_back(room: Room, peer: str) -> None:
    room.bus.pause(peer)
    room.bus.advance(1.1)
    room.bus.deliver("strategy", make.intent())
    room.bus.wake(peer)
    room.bus.run()

    assert room.execution.heard[0].rule is Rule.PEER_LOST
    assert room.judge(ETH_WISH) is None


@pytest.mark.parametrize("status", [FeedStatus.STARTING, FeedStatus.STALE, FeedStatus.DOWN])
def test_a_feed_that_cannot_be_trusted_refuses(room: Room, status: FeedStatus) -> None:
    room.bus.publish("market_data", "feed.BTCTRY", make.feed_state(status))

    assert room.judge(make.intent()) is Rule.STALE_BOOK
    assert room.judge(ETH_WISH) is None


def test_a_price_is_judged_by_when_it_was_confirmed(room: Room) -> None:
    room.bus.advance(2)
    assert room.judge(make.intent()) is None

    room.bus.advance(0.001)
    assert room.judge(ETH_WISH) is Rule.STALE_BOOK


def test_an_intent_past_its_time_is_refused(room: Room) -> None:
    assert room.judge(make.intent(expires_ns=START_NS)) is Rule.EXPIRED


def test_reduce_lets_sells_go_and_no_buys(room: Room) -> None:
    room.bus.say_fact(make.trading(TradingState.REDUCE))

    assert room.judge(make.intent()) is Rule.TRADING_STATE
    assert room.judge(make.intent(2, side=Side.SELL, limit_price=2_500_000)) is None


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("state", [TradingState.PAUSED, TradingState.KILLED, TradingState.HALTED])
def test_nothing_goes_while_trading_is_stopped(room: Room, state: TradingState, side: Side) -> None:
    room.bus.say_fact(make.trading(state))

    assert room.judge(make.intent(side=side)) is Rule.TRADING_STATE


SCOPES: Final = {
    "everything": (Scope(), {"buy", "sell", "eth"}),
    "a pair": (Scope(pair=BTCTRY), {"buy", "sell"}),
    "a side": (Scope(side=Side.BUY), {"buy", "eth"}),
    "a strategy": (Scope(strategy="profit_aware"), {"buy", "sell", "eth"}),
    "another strategy": (Scope(strategy="ema_cross"), set[str]()),
    "a side of a pair": (Scope(pair=BTCTRY, side=Side.SELL), {"sell"}),
}
WISHES: Final = {
    "buy": make.intent(),
    "sell": make.intent(2, side=Side.SELL, limit_price=2_500_020),
    "eth": ETH_WISH,
}


@pytest.mark.parametrize("name", SCOPES)
def test_a_pause_covers_its_scope_and_nothing_else(room: Room, name: str) -> None:
    scope, covered = SCOPES[name]
    room.bus.say_fact(make.pause(scope))

    refused = {wish for wish in WISHES if room.judge(WISHES[wish]) is Rule.PAUSED_SCOPE}

    assert refused == covered
    assert len(room.execution.heard) == 3


def test_a_pause_ends_when_it_is_resumed_or_its_time_is_over(room: Room) -> None:
    until_ns = START_NS + SECOND_NS
    room.bus.say_fact(make.pause(Scope(pair=BTCTRY)))
    room.bus.say_fact(make.pause(Scope(pair=ETHTRY), until_ns=until_ns))
    assert room.judge(make.intent(10)) is Rule.PAUSED_SCOPE
    assert room.judge(replace(ETH_WISH, intent_id=make.intent_id(11))) is Rule.PAUSED_SCOPE

    room.bus.say_fact(make.pause(Scope(pair=BTCTRY), is_paused=False))
    assert room.judge(make.intent()) is None
    room.bus.advance(1)
    room.execution.heard.clear()
    assert room.judge(ETH_WISH) is None


def test_a_repeated_intent_is_judged_and_answered_again_with_the_same_verdict(room: Room) -> None:
    wish = make.intent()
    room.bus.deliver("strategy", wish)
    first = room.answer(wish)

    room.bus.deliver("strategy", wish)
    room.bus.run()

    assert room.strategy.heard == [first, first]
    assert {type(heard) for heard in room.execution.heard} == {ApprovedOrder}


def test_an_approval_counts_at_once_against_the_slot(room: Room) -> None:
    assert room.judge(make.intent(1)) is None

    assert room.judge(make.intent(2)) is Rule.DUPLICATE_SLOT


def test_an_approval_counts_at_once_against_the_cash() -> None:
    room = Room(TRY=6_000)
    assert room.judge(make.intent()) is None

    assert room.judge(ETH_WISH) is Rule.CASH_RESERVE


def test_an_approval_counts_at_once_against_the_number_of_orders() -> None:
    room = Room(replace(LIMITS, open_orders_max=1))
    assert room.judge(make.intent()) is None

    assert room.judge(ETH_WISH) is Rule.OPEN_ORDERS


def test_an_approval_that_execution_refused_counts_no_more(room: Room) -> None:
    wish = make.intent(1)
    assert room.judge(wish) is None

    room.answer(wish, Rule.NO_CONNECTION)

    assert not room.bus.state("risk_gate").exposure.orders


def test_an_approval_nobody_answered_goes_on_counting(room: Room) -> None:
    wish = make.intent(1)
    assert room.judge(wish) is None

    room.bus.advance(60)
    room.bus.deliver("risk_gate", RequestExpired(request_id=wish.intent_id, to="execution"))

    assert set(room.bus.state("risk_gate").exposure.orders) == {wish.intent_id}


def test_an_order_in_doubt_keeps_its_money_and_freezes_its_pair() -> None:
    room = Room(TRY=6_000, BTC=1)
    lost = make.intent(1)
    room.bus.say_fact(make.submitting(lost))
    room.bus.say_fact(make.unknown(lost))
    sell = make.intent(2, side=Side.SELL, limit_price=2_500_020)
    assert room.judge(sell) is Rule.PAIR_FROZEN
    assert room.judge(ETH_WISH) is Rule.CASH_RESERVE

    room.bus.say_fact(make.absent(lost))

    assert room.judge(replace(ETH_WISH, intent_id=make.intent_id(6))) is None


def test_an_order_that_was_found_again_freezes_nothing(room: Room) -> None:
    lost = make.intent(1)
    room.bus.say_fact(make.submitting(lost))
    room.bus.say_fact(make.unknown(lost))
    room.bus.say_fact(make.acked(lost))

    assert room.judge(make.intent(2, side=Side.SELL, limit_price=2_500_020)) is None


@pytest.mark.parametrize("end", [make.closed, make.rejected, make.not_sent, make.absent])
def test_the_end_of_an_order_frees_what_it_took(
    room: Room, end: Callable[[OrderIntent], Fact]
) -> None:
    order = make.intent(1)
    assert room.judge(order) is None
    room.bus.say_fact(make.submitting(order))
    assert room.judge(make.intent(2)) is Rule.DUPLICATE_SLOT

    room.bus.say_fact(end(order))

    assert room.judge(make.intent(3)) is None


def test_an_intent_asked_again_after_its_order_ended_takes_nothing(room: Room) -> None:
    order = make.intent(1)
    room.bus.deliver("strategy", order)
    room.bus.say_fact(make.submitting(order))
    room.answer(order)
    room.bus.say_fact(make.closed(order))

    room.bus.deliver("risk_gate", order)  # The same asking, late on the way.

    assert not room.bus.state("risk_gate").exposure.orders


def test_an_intent_asked_again_of_the_next_life_takes_nothing_either(room: Room) -> None:
    order = make.intent(1)
    room.bus.say_fact(make.submitting(order))
    room.bus.say_fact(make.closed(order))
    room.bus.crash("risk_gate")
    room.begin()

    room.bus.deliver("strategy", order)

    assert not room.bus.state("risk_gate").exposure.orders


def test_what_was_filled_is_taken_no_more_and_held_instead() -> None:
    room = Room(replace(LIMITS, position_notional_max_try=Decimal(5_000)))
    order = make.intent(1)
    room.bus.say_fact(make.submitting(order))
    room.bus.say_fact(make.fill(order, 1, quantity="0.0005"))

    state = room.bus.state("risk_gate")
    assert state.exposure.orders[order.intent_id].left == Decimal("0.0005")
    assert state.held[BTCTRY] == Decimal("0.0005")
    assert room.judge(make.intent(2, slot="another", quantity="0.0011")) is Rule.POSITION_NOTIONAL

    room.bus.say_fact(make.closed(order))
    assert room.judge(make.intent(3, slot="another", quantity="0.0011")) is None


def test_a_fill_moves_what_the_account_holds() -> None:
    room, order = Room(TRY=8_000), make.intent(1)
    sell = make.intent(2, side=Side.SELL, limit_price=2_500_000)
    assert room.judge(sell) is Rule.NOT_ENOUGH_BASE
    room.bus.advance(0.001)

    room.bus.say_fact(make.fill(order, at_ns=room.bus.now_ns))

    assert room.judge(ETH_WISH) is None
    assert room.judge(make.intent(3, slot="another")) is Rule.CASH_RESERVE
    assert room.judge(make.intent(4, side=Side.SELL, limit_price=2_500_020)) is None


def test_a_fill_that_the_balances_had_already_is_not_counted_twice() -> None:
    room, order = Room(TRY=100_000), make.intent(1)
    room.bus.advance(0.001)
    room.hold(TRY="97499.99", BTC="0.001")  # Read after the match, said before the fill.
    room.bus.advance(0.001)

    room.bus.say_fact(make.fill(order, at_ns=room.bus.now_ns))

    sell = make.intent(2, side=Side.SELL, limit_price=2_500_000)
    assert room.judge(make.with_changes(sell, {"quantity": "0.0011"})) is Rule.NOT_ENOUGH_BASE
    assert room.judge(make.intent(3, side=Side.SELL, limit_price=2_500_000)) is None


def test_orders_of_the_last_minute_are_limited() -> None:
    room = Room(replace(LIMITS, orders_per_minute_max=3))
    for number in range(3):
        order = make.intent(10 + number)
        room.bus.say_fact(make.submitting(order, at_ns=room.bus.now_ns))
        room.bus.say_fact(make.closed(order))

    assert room.judge(make.intent(1)) is Rule.ORDER_RATE

    room.bus.advance(60)
    room.begin()
    assert room.judge(make.intent(2, expires_ns=START_NS + 70 * SECOND_NS)) is None


def test_where_limits_stand_is_said_while_somebody_is_there_to_show_it(room: Room) -> None:
    room.bus.advance(3)
    before = len(room.bus.heard(RiskState))
    assert before

    room.bus.crash("dashboard")
    room.bus.advance(1.5)
    alone = len(room.bus.heard(RiskState))
    room.bus.advance(20)
    assert len(room.bus.heard(RiskState)) == alone

    room.bus.start(Peer("dashboard", ()).actor)
    room.bus.advance(1)
    assert len(room.bus.heard(RiskState)) > alone


def test_trouble_that_lasts_ends_buying_and_calm_brings_it_back(room: Room) -> None:
    for number in (1, 2, 3):
        wish = make.intent(number)
        room.bus.say_fact(make.submitting(wish))
        room.bus.say_fact(make.rejected(wish))

    def after(seconds: int) -> tuple[int, *tuple[Rule | None, ...]]:
        """Return the level that is said, and what refuses a sell and a buy that come then."""
        while room.bus.now_ns < START_NS + seconds * SECOND_NS:
            room.bus.advance(1)
            room.quote()
        now_ns = room.bus.now_ns
        times = {"seen_ns": now_ns, "decided_ns": now_ns, "expires_ns": now_ns + 10 * SECOND_NS}
        found = []
        for number, side in enumerate((Side.SELL, Side.BUY), 10 * seconds):
            wish = make.intent(number, side=side, **times)
            found.append(room.judge(wish))
            room.answer(wish, Rule.NO_CONNECTION)  # So it takes nothing of any limit.
        return room.bus.heard(RiskState)[-1].level, *found

    # Anomalies are the same all the time: it is how long they last that counts.
    assert after(20) == (0, None, None)
    assert after(100) == (1, None, Rule.SIZE_REDUCED)
    assert after(125) == (2, None, Rule.DEGRADED)
    assert after(350) == (2, None, Rule.DEGRADED)  # Three within five minutes are over at 300.
    assert after(600) == (0, None, None)


def test_it_says_every_second_how_much_of_each_limit_is_used() -> None:
    room = Room(replace(LIMITS, open_orders_max=7), TRY=6_000)
    order = make.intent(1)
    assert room.judge(order) is None
    second = make.intent(2)
    assert room.judge(second) is Rule.DUPLICATE_SLOT
    room.bus.say_fact(make.submitting(order))
    room.bus.advance(1)
    room.answer(second, Rule.DUPLICATE_SLOT)

    room.bus.advance(1.9)

    said = room.bus.heard(RiskState)
    uses = {use.name: (use.used, use.limit) for use in said[-1].limits}
    assert [state.at_ns - START_NS for state in said] == [SECOND_NS, 2 * SECOND_NS, 3 * SECOND_NS]
    assert said[0].refusals == ()
    assert {name: used for name, (used, _) in uses.items()} == {
        "order_notional_max_try": Decimal("2500.01"),
        "position_notional_max_try": Decimal("2500.01"),
        "gross_exposure_max_try": Decimal("2500.01"),
        "concentration_max_bps": Decimal("4166.68333333"),
        "cash_reserve_min_try": 6_000,
        "open_orders_max": 1,
        "pair_open_orders_max": 1,
        "decision_orders_max": 1,
        "decision_notional_max_try": Decimal("2500.01"),
        "orders_per_minute_max": 1,
        "orders_per_hour_max": 1,
        "turnover_per_day_max_try": 0,
        "fees_per_day_max_try": 0,
        "daily_loss_max_try": 0,
        "weekly_loss_max_try": 0,
        "drawdown_max_try": 0,
    }
    assert {name: limit for name, (_, limit) in uses.items()} == {
        name: 7 if name == "open_orders_max" else getattr(LIMITS, name) for name in uses
    }
    assert said[-1].refusals == ((Rule.DUPLICATE_SLOT, 1),)


def test_a_new_life_knows_what_the_last_one_knew_of_orders_money_and_pauses(room: Room) -> None:
    live, lost, over = make.intent(1), make.intent(2, slot="b"), make.intent(3, slot="c")
    for order in (live, lost, over):
        room.bus.say_fact(make.submitting(order))
    room.bus.say_fact(make.unknown(lost))
    room.bus.say_fact(make.fill(live, 1, quantity="0.0004"))
    room.bus.say_fact(make.fill(over, 2))
    room.bus.say_fact(make.closed(over))
    room.bus.say_fact(make.pause(Scope(pair=ETHTRY)))
    room.bus.say_fact(make.trading(TradingState.REDUCE))
    before = room.bus.state("risk_gate")

    room.bus.crash("risk_gate")
    room.begin()

    after = room.bus.state("risk_gate")
    for name in ("exposure", "held", "trading", "pauses", "is_caught_up"):
        assert getattr(after, name) == getattr(before, name), name
    assert room.judge(replace(ETH_WISH, side=Side.SELL)) is Rule.PAUSED_SCOPE


def test_a_new_life_judges_what_the_last_one_left_unanswered(room: Room) -> None:
    wish = make.intent()
    room.bus.deliver("strategy", wish)
    room.bus.crash("risk_gate")
    room.bus.advance(20)
    room.begin()
    room.execution.heard.clear()

    told = room.answer(wish, Rule.EXPIRED)

    assert {type(heard) for heard in room.execution.heard} == {RefuseIntent}
    assert room.execution.heard[0].rule is Rule.EXPIRED
    assert told.rule is Rule.EXPIRED
    assert not room.bus.state("risk_gate").exposure.orders


def test_it_asks_the_next_life_of_execution_what_the_last_one_did_not_answer(room: Room) -> None:
    wish = make.intent()
    assert room.judge(wish) is None
    room.bus.crash("execution")
    room.bus.advance(8)
    room.execution = Peer("execution", (ApprovedOrder, RefuseIntent))
    room.bus.start(room.execution.actor)

    told = room.answer(wish)

    assert {heard.intent for heard in room.execution.heard} == {wish}
    assert told.rule is None


def test_profit_reinvested_bps_is_the_part_of_a_profit_that_may_be_risked_again() -> None:
    capital = {}
    for part in (0, 10_000):
        room = Room(replace(LIMITS, profit_reinvested_bps=Decimal(part)))
        bought = make.intent(1, side=Side.BUY, quantity="0.001", limit_price=2_400_000)
        sold = make.intent(2, side=Side.SELL, quantity="0.001", limit_price=2_500_000)
        room.bus.say_fact(make.fill(bought))
        room.bus.say_fact(make.fill(sold, 2))
        room.bus.advance(2)
        capital[part] = room.bus.state("risk_gate").standing.capital

    assert capital[10_000] - capital[0] == 100


def test_the_gate_judges_by_what_a_person_made_stricter_and_says_so() -> None:
    room = Room()
    wish = make.intent(1, side=Side.BUY, quantity="0.001", limit_price=2_500_010)
    common: dict[str, Any] = {
        "by": "uid 1",
        "reason": "storm",
        "command_id": CommandId("c"),
        "at_ns": START_NS,
    }
    room.bus.say_fact(LimitTightened(name="order_notional_max_try", value=Decimal(100), **common))
    assert room.judge(wish) is Rule.ORDER_NOTIONAL

    until_ns = room.bus.now_ns + 30 * SECOND_NS
    room.bus.say_fact(RiskModeSet(mode=RiskMode.REDUCE, until_ns=until_ns, **common))
    room.bus.advance(2)
    assert room.bus.state("risk_gate").mode is RiskMode.REDUCE
    said = room.bus.heard(RiskState)[-1]
    assert (said.mode, Concern.OVERRIDE in said.concerns) == (RiskMode.REDUCE, True)

    room.bus.advance(30)
    assert room.bus.heard(RiskState)[-1].mode is RiskMode.NORMAL
