"""What a seat that changes itself counts of its period, fact by fact, and what comes of it."""

from typing import Any, Final

import pytest
from msgspec import Struct, json
from msgspec.structs import replace

from actors import strategy
from btcbot.domain.adaptation import Adaptation
from btcbot.domain.ids import CommandId, Pair
from btcbot.domain.messages import OrderIntent, Record
from btcbot.domain.money import Amount, Price, Quantity
from btcbot.domain.words import FeedStatus, Rule, Side, TradingState
from btcbot.pipeline.seats import SeatSetup, Setup
from btcbot.pipeline.tally import THROTTLES, Tally
from btcbot.portfolio.adaptive import Params
from btcbot.portfolio.netting import Transfer
from btcbot.portfolio.tuning import Rollback
from btcbot.sections import Plan
from bus.actor import Ask, CaughtUp, PeerBack, Wake, Woken
from tests import builders as make
from tests.builders import BTCTRY, ETHTRY, FEES, SECOND_NS, START_NS
from tests.portfolio.markets import D

PRICES: Final = {BTCTRY: 2_500_000, ETHTRY: 100_000}
PARAMS: Final = Params(
    cycle_max=D(9_000), every_s=10, period_s=20, life_s=5, rollback=Rollback(loss_max=D(10**6))
)


class Life:
    """The strategy actor, to whom execution answers at once, whatever it asks to be kept."""

    def __init__(self, params: Params = PARAMS, facts: tuple[Struct, ...] = ()) -> None:
        seat = SeatSetup(name="adaptive", uses="adaptive", params=params)
        self.actor = strategy.actor(Setup(seats=(seat,), limits=Plan()), FEES)
        self.now_ns, self.prices = START_NS, dict(PRICES)
        self.facts: list[Struct] = []
        self.told: list[Adaptation] = []
        self.asked: list[Record] = []
        self.is_written = True  # What it wants kept is written down.
        self.is_woken = False  # It waits to be let ask for that.
        peers = ("market_data", "risk_gate", "execution")
        self.hear(*(PeerBack(source=name, epoch=1, pid=1) for name in peers))
        self.totals = {"TRY": D(100_000)}
        self.fact(make.opening(TRY=100_000), make.trading(), *facts)
        self.hear(CaughtUp(head=1), make.instrument_rules(*PRICES))
        self.feed(FeedStatus.LIVE, *PRICES)

    def feed(self, status: FeedStatus, *pairs: Pair) -> None:
        self.hear(*(make.feed_state(status, pair=pair) for pair in pairs))

    def fact(self, *facts: Struct) -> None:
        self.facts += facts
        self.hear(*facts)

    def hear(self, *messages: Struct) -> list[OrderIntent]:
        """Return what it wishes; what it wants kept is written down at once."""
        wishes: list[OrderIntent] = []
        for message in messages:
            for effect in self.actor.handle(self.actor.state, message, self.now_ns).effects:
                if isinstance(effect, Ask) and isinstance(effect.message, OrderIntent):
                    wishes.append(effect.message)
                elif isinstance(effect, Wake) and effect.name == "keep":
                    self.is_woken = True
                elif isinstance(effect, Ask) and isinstance(effect.message, Record):
                    self.asked.append(effect.message)
                    self._keep(effect.message)
        return wishes

    def _keep(self, record: Record) -> None:
        if not self.is_written:
            return
        if record.kind == "adaptation":
            self.told.append(json.decode(record.payload, type=Adaptation))
        self.fact(make.recorded(record, self.now_ns))

    def look(self, after_s: int = 10) -> list[OrderIntent]:
        """Let it look at the account, quotes being fresh; return its wishes."""
        self.now_ns += after_s * SECOND_NS
        for pair, price in self.prices.items():
            self.hear(
                make.book_top(
                    pair=pair, bid=price - 10, ask=price + 10, confirmed_ns=self.now_ns,
                    changed_ns=self.now_ns,
                )
            )  # fmt: skip
        self.fact(make.balances(self.now_ns, **{k: str(v) for k, v in self.totals.items()}))
        wishes = self.hear(Woken(name="tick", due_ns=self.now_ns))
        if self.is_woken:
            self.is_woken = False
            self.hear(Woken(name="keep", due_ns=self.now_ns))
        return wishes

    def fill(self, wish: OrderIntent, **changes: Any) -> None:
        """Let an order be sent and filled whole."""
        filled = make.fill(wish, at_ns=self.now_ns, **changes)
        for line in filled.postings:
            if line.account == "asset":
                total = self.totals.get(line.asset, D(0)) + line.amount
                self.totals[line.asset] = total
        self.fact(make.submitting(wish), filled, make.closed(wish, 1))

    @property
    def seat(self) -> Any:
        return self.actor.state.seats["adaptive"]


def test_orders_fills_and_rejections_are_those_of_the_seat_and_of_the_period() -> None:
    life = Life()
    first, second = life.look()
    life.fill(first)
    life.fact(make.submitting(second), make.rejected(second))
    life.fact(make.submitting(make.intent(9, strategy="gone")))
    life.fact(make.fill(make.intent(8), intent_id=None))  # A person's own.
    life.look()
    life.look()

    [record] = life.told
    [period] = record.window
    assert (period.sent, period.fills, period.rejected) == (2, 1, 1)
    assert (period.start_ns, period.end_ns) == (START_NS + 10**10, START_NS + 3 * 10**10)
    life.look()
    life.look()
    assert (life.told[1].window[1].sent, life.told[1].window[1].rejected) == (0, 0)


def test_what_is_paid_and_got_has_its_fee_and_tax() -> None:
    tally = Tally()
    charges = {"fee": Amount(D(2)), "tax": Amount(D(1))}
    wish = make.with_changes(make.intent(1), {"quantity": Quantity(D(1))})
    worth = wish.limit_price

    tally.fill(make.fill(wish, 1, side=Side.BUY, **charges))
    assert tally.flows == {BTCTRY: -worth - 3}
    tally.fill(make.fill(wish, 2, side=Side.SELL, **charges))
    assert tally.flows == {BTCTRY: D(-6)}


@pytest.mark.parametrize("rule", list(Rule))
def test_a_refusal_is_counted_and_one_for_the_number_of_orders_is_a_throttle(rule: Rule) -> None:
    life = Life()
    wish = life.look()[0]

    life.hear(make.with_changes(make.verdict(rule=rule), {"intent_id": wish.intent_id}))

    counts = life.seat.tally.counts
    assert (counts.refused, counts.throttled) == (1, int(rule in THROTTLES))


def test_three_rejections_of_the_exchange_bring_the_price_nearer() -> None:
    life = Life(replace(PARAMS, rollback=Rollback(rejects_max=3)))
    for _ in range(2):
        for wish in life.look():
            life.fact(make.submitting(wish), make.rejected(wish, life.now_ns - 10**11))
    life.look()

    [record] = life.told
    assert [(c.name, c.before, c.after) for c in record.changes] == [("offset_bps", D(5), D(3))]
    assert life.seat.inner.active == 2


def test_a_look_without_a_price_of_a_pair_narrows_the_spread() -> None:
    life = Life()
    for wish in life.look():
        life.fill(wish)
    life.feed(FeedStatus.STALE, ETHTRY)
    life.look()
    life.look()

    [record] = life.told
    assert record.window[0].unpriced == 2
    assert record.window[0].net_pnl is None  # Not all that it holds has a price.
    assert [(c.name, c.after) for c in record.changes] == [("spread_max_bps", D(70))]


def test_profit_is_of_the_period_after_fees_and_a_fall_is_a_part_of_the_capital() -> None:
    life = Life()
    wishes = life.look()
    for wish in wishes:
        life.fill(wish, fee=1)
    bought = sum(wish.quantity * wish.limit_price for wish in wishes)
    held = {wish.pair: wish.quantity for wish in wishes}
    life.look()
    life.look()
    life.prices[BTCTRY] -= 250_000
    life.look()
    life.look()

    first, second = (record.window[-1] for record in life.told)
    assert first.net_pnl == sum(held[pair] * PRICES[pair] for pair in held) - bought - 2
    assert second.net_pnl == -held[BTCTRY] * 250_000
    assert second.result == first.net_pnl + second.net_pnl
    fall = held[BTCTRY] * 250_000
    assert abs(second.drawdown - fall / (100_000 + first.net_pnl)) < D("0.00001")


def test_three_healthy_periods_let_it_buy_more_of_more_pairs() -> None:
    life = Life(replace(PARAMS, band=D(0), cycle_max=D(2_000)))
    while len(life.told) < 3:
        for wish in life.look():
            life.fill(wish)
        life.prices = {pair: price + 1_000 for pair, price in life.prices.items()}

    assert [record.outcome for record in life.told] == ["KEPT", "KEPT", "APPLIED"]
    values = life.seat.inner.version.values
    assert (values.universe_size, values.cycle_max) == (6, 2_100)
    assert {wish.reason for wish in life.look()} == {"version 2"}


def test_a_fall_that_was_made_good_is_of_its_own_period_alone() -> None:
    life = Life()
    for wish in life.look():
        life.fill(wish)
    life.prices[BTCTRY] -= 250_000
    life.look()
    life.prices[BTCTRY] += 250_000
    for _ in range(3):
        life.look()

    assert [record.window[-1].drawdown > 0 for record in life.told] == [True, False]


def test_what_another_strategy_did_before_is_of_no_period() -> None:
    """A seat alone holds what was bought before it, and begins to count at its first look."""
    wish = make.intent(7)
    life = Life(facts=(make.submitting(wish), make.fill(wish, fee=100), make.closed(wish, 1)))
    for _ in range(3):
        life.look()

    [period] = life.told[0].window
    assert (period.sent, period.fills, period.net_pnl) == (0, 0, D(0))


def test_a_version_that_takes_fewer_pairs_takes_the_tightest() -> None:
    life = Life(replace(PARAMS, universe_size=1))

    assert [wish.pair for wish in life.look()] == [BTCTRY]


def test_unless_trading_is_live_a_change_is_rejected() -> None:
    life = Life(replace(PARAMS, rollback=Rollback(rejects_max=1)))
    wish = life.look()[0]
    life.fact(make.submitting(wish), make.rejected(wish), make.trading(TradingState.REDUCE))
    life.look()
    life.look()

    assert life.told[0].outcome == "REJECTED"
    assert life.told[0].reasons == ("rejects", "trading_state")


@pytest.mark.parametrize(("seller", "buyer", "sign"), [("adaptive", "x", 1), ("x", "adaptive", -1)])
def test_a_transfer_between_seats_is_money_that_came_or_went(
    seller: str, buyer: str, sign: int
) -> None:
    life = Life()
    wish = life.look()[0]
    life.fill(wish)
    before = life.seat.tally.flows[wish.pair]
    moved = Transfer(
        seller=seller, buyer=buyer, pair=wish.pair, quantity=wish.quantity,
        price=Price(D(3_000_000)),
    )  # fmt: skip
    life.fact(
        make.recorded(
            Record(
                command_id=CommandId("c"), owner="strategy", kind="transfer", key="k",
                payload=json.encode(moved),
            )
        )
    )  # fmt: skip

    assert life.seat.tally.flows[wish.pair] - before == sign * wish.quantity * 3_000_000


def test_a_life_that_hears_the_facts_again_knows_the_version_and_the_period_it_is_in() -> None:
    life = Life(replace(PARAMS, rollback=Rollback(rejects_max=1)))
    wish, other = life.look()
    life.fact(make.submitting(wish), make.rejected(wish))
    life.look()
    life.look()
    life.fill(other)
    assert life.seat.inner.active == 2

    again = Life(replace(PARAMS, rollback=Rollback(rejects_max=1)), tuple(life.facts))

    assert again.seat.inner == life.seat.inner
    assert again.seat.tally.counts == life.seat.tally.counts
    assert again.seat.tally.since_ns == life.seat.tally.since_ns


def test_other_parameters_begin_anew_and_so_do_the_first_ones_after_them() -> None:
    life = Life(replace(PARAMS, rollback=Rollback(rejects_max=1)))
    wish = life.look()[0]
    life.fact(make.submitting(wish), make.rejected(wish))
    life.look()
    life.look()
    other = Life(replace(PARAMS, offset_bps=D(7)), tuple(life.facts))
    assert (other.seat.inner.active, other.seat.tally.since_ns) == (3, 0)
    for _ in range(3):
        other.look()

    again = Life(replace(PARAMS, rollback=Rollback(rejects_max=1)), tuple(other.facts))

    assert (again.seat.inner.active, again.seat.tally.since_ns) == (4, 0)
    assert again.seat.inner.version.values == PARAMS.values


def test_a_period_is_judged_once_though_its_record_is_late() -> None:
    life = Life()
    life.is_written = False
    for _ in range(9):
        life.look()

    assert [record.key for record in life.asked if record.kind == "adaptation"] == ["adaptive.1"]
    assert life.seat.inner.judged == 0


def test_where_no_pair_is_chosen_the_period_is_written_down_all_the_same() -> None:
    life = Life()
    life.prices = {BTCTRY: 100, ETHTRY: 100}  # Bid 90, ask 110: too wide for any version.
    for _ in range(3):
        assert life.look() == []

    assert len(life.told) == 1


def test_a_clock_that_was_set_back_ends_the_period() -> None:
    life = Life()
    life.look()
    life.look(-3_600)

    assert len(life.told) == 1
    assert life.seat.tally.since_ns == life.now_ns
