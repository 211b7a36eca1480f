"""The strategy actor on the bus: when it wishes, when it must not, and what a wish occupies."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from actors import strategy
from btcbot.domain.facts import Fact, Fill
from btcbot.domain.messages import BookTop, OrderIntent, Scope
from btcbot.domain.words import FeedStatus, Rule, Side, TradingState
from btcbot.ledger.positions import Holding, book
from btcbot.pipeline.seats import Setup, alone
from btcbot.strategies import profit_aware
from btcbot.strategies.contract import NO_HOLDING, MarketView, Strategy, Want
from bus.actor import Ask, CaughtUp, PeerBack, Publish, RequestExpired, Wake
from tests import builders as make
from tests.builders import BTCTRY, ETHTRY, FEES, SECOND_NS, START_NS
from tests.hosting import Mischief, Peer, WireBus, fold

# Wants to buy on every quote while it holds less than 2,000 TRY; sells with a profit of 0.3 %.
EAGER: Final = profit_aware.Params(
    warm_up_s=0,
    entry_dip_bps=0,
    rest_s=0,
    sell_share=1,
    life_s=60,
    position_notional_max=Decimal(2_000),
)
SETUP: Final = alone("profit_aware", EAGER, interval_ns=0)
PEERS: Final = ("market_data", "risk_gate", "execution")
BUY_SLOT, SELL_SLOT = "profit_aware:BTCTRY:buy", "profit_aware:BTCTRY:sell"


class Greedy:
    """A strategy that wants to buy twice and to sell on every quote, whatever stands already."""

    NAME = "profit_aware"
    WANTS_DEPTH = False
    DECIDES_ON_FILLS = False
    Params: type[Struct] = profit_aware.Params

    def start(self, _params: Any) -> None:
        return None

    def decide(
        self, state: None, _params: Any, _view: MarketView, top: BookTop, _now_ns: int
    ) -> tuple[None, tuple[Want, ...]]:
        def want(side: Side) -> Want:
            return Want(
                pair=top.pair, side=side, quantity=make.intent().quantity, limit_price=top.ask,
                reason="more", life_ns=SECOND_NS,
            )  # fmt: skip

        return state, (want(Side.BUY), want(Side.BUY), want(Side.SELL))


class Room:
    """The strategy between three peers that say only what a test lets them say."""

    def __init__(self, mischief: Mischief | None = None) -> None:
        self.bus = WireBus(faults=mischief)
        self.gate = Peer("risk_gate", (OrderIntent,))
        for peer in (Peer("market_data", ()), self.gate, Peer("execution", ())):
            self.bus.start(peer.actor)
        self.bus.say_fact(make.balances(TRY=100_000, BTC=1))
        self.begin()

    def begin(self, setup: Setup = SETUP, hosts: Strategy | None = None) -> None:
        """Begin a life of the strategy, and let it hear what the market says every second."""
        self.bus.start(strategy.actor(setup, FEES, (hosts,) if hosts else None))
        self.bus.publish("market_data", "rules", make.instrument_rules())
        self.feed(FeedStatus.LIVE)

    def feed(self, status: FeedStatus) -> None:
        self.bus.publish("market_data", "feed.BTCTRY", make.feed_state(status))

    def quote(self, **changes: Any) -> None:
        top = make.book_top(**{"confirmed_ns": self.bus.now_ns, **changes})
        self.bus.publish("market_data", f"top.{top.pair}", top)

    @property
    def wishes(self) -> list[OrderIntent]:
        """Every wish once, however often it was repeated."""
        return self.bus.heard(OrderIntent)

    def wish(self) -> OrderIntent:
        """Let it see a quote; return the one wish that follows."""
        before = len(self.wishes)
        self.quote()
        [one] = self.wishes[before:]
        return one

    def answer(self, wish: OrderIntent, rule: Rule | None = None) -> None:
        """Let the gate answer when the wish is repeated."""
        self.gate.answers[wish.intent_id] = make.with_changes(
            make.verdict(rule=rule), {"intent_id": wish.intent_id}
        )
        self.bus.advance(0.1)


@pytest.fixture
def room() -> Room:
    """Return a room in which trading is LIVE and every price is fresh."""
    room = Room()
    room.bus.say_fact(make.trading())
    return room


def test_a_wish_says_what_it_was_decided_on_and_when_it_ends(room: Room) -> None:
    room.bus.advance(1)
    room.quote(confirmed_ns=START_NS + 1)

    [wish] = room.wishes

    assert (wish.slot, wish.side, wish.pair) == (BUY_SLOT, Side.BUY, BTCTRY)
    assert wish.seen_ns == START_NS + 1
    assert wish.decided_ns == START_NS + SECOND_NS
    assert wish.expires_ns == START_NS + 61 * SECOND_NS
    assert wish.limit_price % 10 == 0
    assert wish.quantity * wish.limit_price <= EAGER.order_notional
    assert room.gate.heard == [wish]


NEEDED: Final[dict[str, Struct]] = {
    **{peer: PeerBack(source=peer, epoch=1, pid=1) for peer in PEERS},
    "every fact": CaughtUp(head=1),
    "the trading state": make.trading(),
    "the balances": make.balances(TRY=100_000),
    "the rules": make.instrument_rules(),
    "the feed's state": make.feed_state(),
    "a price": make.book_top(),
}


def test_it_wishes_once_it_knows_everything_it_needs() -> None:
    said = fold(strategy.actor(SETUP, FEES), NEEDED.values())

    assert [type(effect) for effect in said] == [Ask, Publish, Wake]


@pytest.mark.parametrize("missing", NEEDED)
def test_it_wishes_nothing_while_it_does_not_know(missing: str) -> None:
    heard = [message for name, message in NEEDED.items() if name != missing]

    assert not [
        effect for effect in fold(strategy.actor(SETUP, FEES), heard) if type(effect) is Ask
    ]


@pytest.mark.parametrize("status", [FeedStatus.STARTING, FeedStatus.STALE, FeedStatus.DOWN])
def test_a_feed_that_cannot_be_trusted_stops_it_until_the_feed_is_back(
    room: Room, status: FeedStatus
) -> None:
    room.feed(status)
    room.quote()
    assert not room.wishes

    room.feed(FeedStatus.LIVE)
    room.quote()
    assert room.wishes


def test_a_fallback_price_may_be_decided_on(room: Room) -> None:
    room.feed(FeedStatus.FALLBACK)
    room.quote()

    assert room.wishes


def test_the_feed_of_another_pair_is_another_matter(room: Room) -> None:
    room.bus.publish("market_data", "feed.ETHTRY", make.feed_state(FeedStatus.DOWN, pair=ETHTRY))
    room.quote(pair=ETHTRY, bid=99_990, ask=100_010)
    assert not room.wishes

    room.quote()
    assert [wish.pair for wish in room.wishes] == [BTCTRY]


@pytest.mark.parametrize("peer", PEERS)
def test_a_silent_peer_stops_it_until_the_peer_is_back(room: Room, peer: str) -> None:
    room.bus.pause(peer)
    room.bus.advance(1.1)
    room.quote()
    assert not room.wishes

    room.bus.wake(peer)
    room.quote()
    assert room.wishes


@pytest.mark.parametrize("state", [TradingState.PAUSED, TradingState.KILLED, TradingState.HALTED])
def test_it_wishes_nothing_while_trading_is_stopped(room: Room, state: TradingState) -> None:
    room.bus.say_fact(make.fill(make.intent(), price=2_000_000, quantity="0.0001"))
    room.bus.say_fact(make.trading(state))

    room.quote()

    assert not room.wishes


def test_it_only_sells_in_reduce(room: Room) -> None:
    room.bus.say_fact(make.trading(TradingState.REDUCE))
    room.quote()
    assert not room.wishes

    room.bus.say_fact(make.fill(make.intent(), price=2_000_000))
    [sell] = room.wishes
    assert (sell.side, sell.slot, sell.quantity) == (Side.SELL, SELL_SLOT, Decimal("0.001"))


def test_it_wishes_nothing_while_its_slot_is_asked_for_or_live(room: Room) -> None:
    wish = room.wish()
    room.quote()
    room.answer(wish)
    room.quote()
    room.bus.say_fact(make.submitting(wish))
    room.quote()
    room.bus.say_fact(make.fill(wish, quantity="0.00001"))
    room.quote()
    assert room.wishes == [wish]

    room.bus.say_fact(make.closed(wish))
    assert room.wish().slot == wish.slot


def test_a_strategy_that_wants_ever_more_gets_one_wish_a_slot(room: Room) -> None:
    room.begin(hosts=Greedy())
    room.bus.say_fact(make.fill(make.intent()))

    room.quote()
    room.quote()

    assert [wish.slot for wish in room.wishes] == [SELL_SLOT, BUY_SLOT]


def test_in_reduce_the_wishes_to_buy_of_a_strategy_are_dropped(room: Room) -> None:
    room.begin(hosts=Greedy())
    room.bus.say_fact(make.fill(make.intent()))
    room.bus.say_fact(make.trading(TradingState.REDUCE))

    room.quote()

    assert [wish.side for wish in room.wishes] == [Side.SELL]


def test_a_wish_that_is_late_is_still_open(room: Room) -> None:
    wish = room.wish()

    room.bus.advance(10)
    room.bus.deliver("strategy", RequestExpired(request_id=wish.intent_id, to="risk_gate"))
    room.quote()

    assert room.wishes == [wish]
    assert {heard.intent_id for heard in room.gate.heard} == {wish.intent_id}
    assert len(room.gate.heard) > 3


@pytest.mark.parametrize("end", [make.closed, make.not_sent, make.absent])
def test_the_end_of_an_order_frees_its_slot_at_once(
    room: Room, end: Callable[[OrderIntent], Fact]
) -> None:
    wish = room.wish()
    room.bus.say_fact(make.submitting(wish))

    room.bus.say_fact(end(wish))

    assert room.wish().intent_id != wish.intent_id


def test_a_refused_slot_rests_twice_as_long_each_time_up_to_a_minute(room: Room) -> None:
    wish = room.wish()
    for rest_s in (1, 2, 4, 8, 16, 32, 60, 60):
        room.answer(wish, Rule.CASH_RESERVE)

        room.bus.advance(rest_s - 0.001)
        room.quote()
        assert room.wishes[-1] == wish

        room.bus.advance(0.001)
        wish = room.wish()


def test_an_order_that_lived_ends_the_resting(room: Room) -> None:
    wish = room.wish()
    room.answer(wish, Rule.CASH_RESERVE)
    room.bus.advance(1)
    lived = room.wish()
    room.bus.say_fact(make.submitting(lived))
    room.bus.say_fact(make.closed(lived))

    again = room.wish()
    room.answer(again, Rule.CASH_RESERVE)
    room.bus.advance(1)

    assert room.wish().slot == BUY_SLOT


def test_a_rejected_order_rests_as_a_refused_one_does(room: Room) -> None:
    wish = room.wish()
    room.bus.say_fact(make.submitting(wish))
    room.bus.say_fact(make.rejected(wish, at_ns=room.bus.now_ns))

    room.quote()
    assert room.wishes == [wish]

    room.bus.advance(1)
    room.quote()
    assert len(room.wishes) == 2


def test_a_refusal_of_one_side_lets_the_other_side_go(room: Room) -> None:
    room.answer(room.wish(), Rule.CASH_RESERVE)

    room.bus.say_fact(make.fill(make.intent(), price=2_000_000))

    assert room.wishes[-1].side is Side.SELL


def test_a_refusal_leaves_the_slot_to_the_order_that_lives_in_it(room: Room) -> None:
    earlier = make.intent(99)  # Asked for by an earlier life; execution accepted it meanwhile.
    wish = room.wish()
    room.bus.say_fact(make.submitting(earlier))
    room.answer(wish, Rule.DUPLICATE_SLOT)

    room.bus.advance(5)
    room.quote()
    assert room.wishes == [wish]

    room.bus.say_fact(make.closed(earlier))
    assert room.wish().slot == earlier.slot


def test_a_wish_nobody_answered_is_asked_of_the_next_life_of_the_gate(room: Room) -> None:
    wish = room.wish()
    room.bus.crash("risk_gate")
    room.bus.advance(30)
    room.gate = Peer("risk_gate", (OrderIntent,))
    room.bus.start(room.gate.actor)
    room.gate.answers[wish.intent_id] = make.with_changes(
        make.verdict(rule=Rule.EXPIRED), {"intent_id": wish.intent_id}
    )
    room.bus.advance(5)
    assert set(room.gate.heard) == {wish}

    room.bus.advance(1)
    assert room.wish().intent_id != wish.intent_id


def test_two_quotes_within_the_interval_are_one_decision(room: Room) -> None:
    room.begin(alone("profit_aware", EAGER, interval_ns=SECOND_NS))
    wish = room.wish()
    room.bus.say_fact(make.submitting(wish))
    room.bus.say_fact(make.closed(wish))
    room.bus.advance(0.9)
    room.quote()
    assert room.wishes == [wish]

    room.bus.advance(0.1)
    assert room.wish().slot == BUY_SLOT


def test_the_average_cost_carries_the_fees_of_the_buys(room: Room) -> None:
    buy = make.intent()
    room.bus.say_fact(make.fill(buy, 1, quantity=1, price=100, fee=1, tax=1))
    room.bus.say_fact(make.fill(buy, 2, quantity=1, price=200, fee=2))
    sell = make.intent(2, side=Side.SELL)
    room.bus.say_fact(make.fill(sell, 3, quantity="0.5", price=300, fee=9))

    held = room.bus.state("strategy").seats["profit_aware"].view.holdings[BTCTRY]

    assert (held.quantity, held.average_cost) == (Decimal("1.5"), 152)


def test_what_a_person_traded_is_not_its_own(room: Room) -> None:
    room.bus.say_fact(make.fill(make.intent(), intent_id=None, client_order_id=None))

    assert not room.bus.state("strategy").seats["profit_aware"].view.holdings


def test_a_new_life_holds_what_the_last_one_held_and_respects_its_orders(room: Room) -> None:
    wish = room.wish()
    done = make.intent(2, slot="profit_aware:BTCTRY:sell", side=Side.SELL)
    room.bus.say_fact(make.submitting(wish))
    room.bus.say_fact(make.fill(wish, 1, quantity="0.0001", price=2_500_000, fee=1))
    room.bus.say_fact(make.submitting(done))
    room.bus.say_fact(make.fill(done, 2, quantity="0.00005", price=2_500_000, fee=1))
    room.bus.say_fact(make.closed(done))
    before = room.bus.state("strategy").seats["profit_aware"].view.holdings

    room.bus.crash("strategy")
    room.begin()

    assert room.bus.state("strategy").seats["profit_aware"].view.holdings == before
    room.quote(bid=2_600_000, ask=2_600_010)
    room.quote(bid=2_600_000, ask=2_600_010)
    [_, sell] = room.wishes
    assert (sell.side, sell.quantity) == (Side.SELL, Decimal("0.00005"))
    assert sell.intent_id != wish.intent_id


def test_rejections_of_long_ago_do_not_make_a_new_life_rest(room: Room) -> None:
    for number in range(5):
        old = make.intent(number + 2)
        room.bus.say_fact(make.submitting(old))
        room.bus.say_fact(make.rejected(old))

    room.bus.crash("strategy")
    room.bus.advance(3_600)
    room.begin()

    assert room.wish().slot == BUY_SLOT


def test_a_life_never_uses_the_id_of_another(room: Room) -> None:
    ids = []
    for _ in range(3):
        wish = room.wish()
        ids.append(wish.intent_id)
        room.bus.say_fact(make.submitting(wish))
        room.bus.say_fact(make.closed(wish))
        room.bus.crash("strategy")
        room.begin()

    assert len(set(ids)) == 3


def test_a_pause_is_for_others_to_judge(room: Room) -> None:
    room.bus.say_fact(make.pause(Scope(pair=BTCTRY)))

    assert room.wish().slot == BUY_SLOT


@pytest.mark.parametrize("seed", range(5))
def test_lost_repeated_and_late_messages_never_lead_to_two_wishes_for_one_slot(seed: int) -> None:
    mischief = Mischief(seed, (OrderIntent,))
    room = Room(mischief)
    room.bus.say_fact(make.trading())
    for _ in range(20):
        room.quote()
        wish = room.wishes[-1]
        room.bus.advance(2)
        room.quote()
        assert room.wishes[-1] == wish
        assert set(room.gate.heard) <= set(room.wishes)
        room.bus.say_fact(make.submitting(wish))
        room.bus.say_fact(make.closed(wish))

    assert len(room.wishes) == 20
    assert set(room.gate.heard) == set(room.wishes)
    assert all(mischief.did.values())


FILLS = st.lists(
    st.tuples(
        st.sampled_from(Side),
        st.decimals("0.00000001", "10", places=8),
        st.decimals("1", "9999999", places=2),
        st.decimals("0", "100", places=4),
    ),
    max_size=30,
)


@given(FILLS)
def test_it_holds_what_accounting_books(rows: list[tuple[Side, Decimal, Decimal, Decimal]]) -> None:
    fills: list[Fill] = [
        make.fill(make.intent(), n, side=side, quantity=quantity, price=price, fee=fee)
        for n, (side, quantity, price, fee) in enumerate(rows)
    ]
    actor = strategy.actor(SETUP, FEES)
    fold(actor, fills)

    booked = Holding()
    for one in fills:
        booked = book(booked, one).holding

    held = actor.state.seats["profit_aware"].view.holdings.get(BTCTRY, NO_HOLDING)
    assert held.quantity == booked.quantity
    assert not held.quantity or abs(held.average_cost - booked.average_cost) < Decimal("1e-7")
