"""The agent policy inside the strategy actor: what it hears, asks, records, and may take away."""

from decimal import Decimal
from typing import Any, Final

import pytest
from msgspec import Struct
from msgspec.json import encode
from msgspec.structs import replace

from actors import strategy
from btcbot.agent.contracts import AgentSetup, AskModel
from btcbot.agent.policy import AgentPolicy
from btcbot.domain.agent import (
    AGENT_MODE,
    AGENT_OWNER,
    AgentMode,
    AgentOutcome,
    ModelAnswered,
    ModeOrdered,
    RecordDecision,
)
from btcbot.domain.ids import CommandId
from btcbot.domain.messages import AccountSnapshot, CommandDone, OrderIntent, PnlReport, Record
from btcbot.domain.money import Amount, Notional
from btcbot.domain.words import FeedStatus, Side
from btcbot.pipeline.seats import alone
from btcbot.portfolio.netting import Transfer
from btcbot.strategies import profit_aware
from bus.actor import Actor, Answer, Late, Step
from tests import builders as make
from tests.agent.asking import drop, reply, said, shrink
from tests.agent.hostile import COUNT, corpus
from tests.builders import BTCTRY, FEES, TRY
from tests.hosting import Peer, WireBus

EAGER: Final = profit_aware.Params(
    warm_up_s=0, entry_dip_bps=0, rest_s=0, sell_share=1, life_s=60,
    position_notional_max=Decimal(2_000),
)  # fmt: skip
SETUP: Final = AgentSetup(
    mode=AgentMode.ADVISE, model="tiny", interval_ns=0, tokens_per_day_max=10**12,
    money_per_day_max=Decimal(1_000_000),
)  # fmt: skip


class Keeper:
    """An execution that keeps whatever it is asked to, and says so."""

    def __init__(self) -> None:
        self.kept: list[Any] = []
        self.refuses = ""
        self.actor: Actor[None] = Actor(
            name="execution", state=None, handle=self._handle, receives=(Record, RecordDecision)
        )

    def _handle(self, _state: None, message: Any, _now_ns: int) -> Step[None]:
        request = message.request if isinstance(message, Late) else message
        if not isinstance(request, Record | RecordDecision):
            return Step(None)
        self.kept.append(request)
        done = CommandDone(command_id=request.command_id, refused=self.refuses, seq=1)
        return Step(None, (Answer(request.request_id, done),))


class Room:
    """The strategy with an agent, or without; the model is the test."""

    def __init__(self, setup: AgentSetup | None = SETUP, *, tells_account: bool = True) -> None:
        self.bus, self.keeper = WireBus(), Keeper()
        self.asked: list[AskModel] = []
        self.gate = Peer("risk_gate", (OrderIntent,))
        for peer in (Peer("market_data", ()), Peer("accounting", ()), self.gate, self.keeper):
            self.bus.start(peer.actor)
        self.bus.say_fact(make.balances(TRY=100_000, BTC=1))
        policy = None if setup is None else AgentPolicy(setup)
        seats = alone("profit_aware", EAGER, interval_ns=0)
        self.bus.start(strategy.actor(seats, FEES, None, policy, self._perform))
        self.bus.publish("market_data", "rules", make.instrument_rules())
        self.bus.publish("market_data", "feed.BTCTRY", make.feed_state(FeedStatus.LIVE))
        self.bus.say_fact(make.trading())
        if tells_account:
            self.tell_account()

    def tell_account(self) -> None:
        """Say what the account is worth, as accounting does once a second."""
        zero, at_ns = Amount(Decimal(0)), self.bus.now_ns
        account = AccountSnapshot(
            through=1, balances=(), positions=(), equity_asset=TRY,
            equity=Amount(Decimal(100_000)), at_ns=at_ns,
        )  # fmt: skip
        pnl = PnlReport(
            day="2026-11-24", realized=zero, unrealized=zero, fees=zero, turnover=Notional(zero),
            fills=0, peak_equity=Amount(Decimal(100_000)), drawdown=zero, at_ns=at_ns,
        )  # fmt: skip
        self.bus.publish("accounting", "account", account)
        self.bus.publish("accounting", "pnl", pnl)

    def _perform(self, effect: Struct) -> None:
        assert isinstance(effect, AskModel), effect
        self.asked.append(effect)

    def wish(self, *, is_over: bool = True) -> OrderIntent | None:
        """Show a quote; return the wish that follows. `is_over`: its slot is free again then."""
        before = len(self.bus.heard(OrderIntent))
        self.bus.publish("market_data", "top.BTCTRY", make.book_top(confirmed_ns=self.bus.now_ns))
        found = self.bus.heard(OrderIntent)[before:]
        assert len(found) <= 1
        for wish in found:  # Passed when it is asked for again.
            verdict = make.with_changes(make.verdict(), {"intent_id": wish.intent_id})
            self.gate.answers[wish.intent_id] = verdict
        if found and is_over:
            self.bus.say_fact(make.submitting(found[0]))
            self.bus.say_fact(make.closed(found[0]))
        return found[0] if found else None

    def answer(self, raw: str, outcome: AgentOutcome = AgentOutcome.ADVISED) -> None:
        """Let the newest question end so."""
        self.bus.deliver(
            "strategy",
            ModelAnswered(
                ask_id=self.asked[-1].ask_id, outcome=outcome, status=200, raw=raw,
                raw_bytes=len(raw.encode()),
            ),
        )  # fmt: skip
        self.bus.run()

    @property
    def decisions(self) -> list[RecordDecision]:
        return [kept for kept in self.keeper.kept if isinstance(kept, RecordDecision)]


def quantity(wish: OrderIntent | None) -> Decimal:
    return Decimal(0) if wish is None else wish.quantity


PLANNED: Final = quantity(Room(None).wish())


def test_a_plan_asks_the_model_once_its_cost_is_on_record() -> None:
    room = Room()

    room.wish()

    [aside] = [kept for kept in room.keeper.kept if isinstance(kept, Record)
               and kept.owner == AGENT_OWNER]  # fmt: skip
    assert aside.kind == "spent"
    [asked] = room.asked
    assert b'"tiny"' in asked.body


def test_nothing_is_asked_whose_cost_could_not_be_recorded() -> None:
    room = Room()
    room.keeper.refuses = "the disk is full"

    assert quantity(room.wish()) == PLANNED

    assert room.asked == []
    [decided] = room.decisions
    assert decided.decision.outcome is AgentOutcome.NOT_SENT


@pytest.mark.parametrize(
    ("mode", "limit", "left"),
    [
        (AgentMode.ADVISE, shrink(keep=50), Decimal("0.00009994")),
        (AgentMode.ADVISE, drop(), Decimal(0)),
        (AgentMode.SHADOW, shrink(keep=50), PLANNED),
        (AgentMode.SHADOW, drop(), PLANNED),
    ],
)
def test_an_answer_limits_the_buys_after_it_in_advise_and_is_only_kept_in_shadow(
    mode: AgentMode, limit: dict[str, Any], left: Decimal
) -> None:
    room = Room(replace(SETUP, mode=mode))
    assert quantity(room.wish()) == PLANNED

    room.answer(reply(said(limits=[limit])))

    assert quantity(room.wish()) == left
    assert room.decisions[0].decision.mode is mode
    assert room.decisions[0].decision.advice is not None


def test_in_mode_off_nobody_is_asked_and_a_person_may_say_otherwise_while_it_runs() -> None:
    room = Room()
    room.bus.say_fact(make.recorded(ordered(AgentMode.OFF)))
    assert quantity(room.wish()) == PLANNED
    assert (room.asked, room.decisions) == ([], [])

    room.bus.say_fact(make.recorded(ordered(AgentMode.ADVISE)))
    room.wish()

    assert len(room.asked) == 1


def ordered(mode: AgentMode) -> Record:
    payload = encode(ModeOrdered(mode=mode, by="a person", reason="a test"))
    return Record(
        command_id=CommandId(f"ctl-1-{mode}"), owner=AGENT_OWNER, kind=AGENT_MODE, key=AGENT_MODE,
        payload=payload,
    )  # fmt: skip


def test_hundreds_of_hostile_answers_change_no_wish_and_stop_nobody() -> None:
    room = Room()
    wishes = []
    for _, raw in corpus(seed=4):
        wishes.append(room.wish())
        if room.asked:
            room.answer(raw)
        room.bus.advance(3_601)  # Whatever pause the breaker made is over.
        room.bus.publish("market_data", "feed.BTCTRY", make.feed_state(FeedStatus.LIVE))

    assert [quantity(wish) for wish in wishes] == [PLANNED] * COUNT
    assert {wish.side for wish in wishes if wish is not None} == {Side.BUY}
    outcomes = {decided.decision.outcome for decided in room.decisions}
    assert outcomes == {AgentOutcome.REFUSED}
    assert len(room.decisions) > COUNT - 60  # Nothing is kept of an empty reply.


def test_a_model_that_is_silent_for_ten_seconds_delays_no_wish() -> None:
    alone_room, waiting = Room(None), Room()
    for room in (alone_room, waiting):
        for _ in range(100):
            room.wish()
            room.bus.advance(0.1)

    assert len(waiting.asked) == 1  # And not answered yet.
    assert waiting.bus.heard(OrderIntent) == alone_room.bus.heard(OrderIntent)


def test_what_the_policy_hears_too_still_counts_for_the_seats() -> None:
    room = Room()
    wish = room.wish(is_over=False)
    assert wish is not None
    room.bus.say_fact(make.submitting(wish))
    room.bus.say_fact(make.fill(wish))
    room.bus.say_fact(make.closed(wish, str(wish.quantity)))
    seat = room.bus.state("strategy").seats["profit_aware"]
    held = seat.view.holdings[BTCTRY].quantity
    moved = Transfer(
        seller="profit_aware", buyer="gone", pair=BTCTRY, quantity=held, price=wish.limit_price
    )

    room.bus.say_fact(
        make.recorded(
            Record(command_id=CommandId("strategy-1-1"), owner="strategy", kind="transfer",
                   key="1.1", payload=encode(moved))
        )
    )  # fmt: skip

    assert seat.view.holdings[BTCTRY].quantity == 0


def test_in_advise_nothing_is_bought_until_the_account_is_known() -> None:
    room = Room(tells_account=False)
    assert room.wish() is None

    room.tell_account()

    assert quantity(room.wish()) == PLANNED
