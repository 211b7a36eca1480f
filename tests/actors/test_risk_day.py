"""What the gate makes of a day: losses that survive its death, and contradictions that kill."""

from decimal import Decimal
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from actors import risk_gate
from btcbot.domain.facts import Discrepancy, Fact
from btcbot.domain.messages import OrderIntent, Record, RiskState, SetTradingState
from btcbot.domain.words import Concern, RiskMode, Rule, Side, TradingState
from btcbot.ledger.result import BEST, DAY
from btcbot.risk.limits import RiskLimits
from bus.actor import Ask, CaughtUp, PeerBack, PeerLost, Publish, Started, Woken
from tests import builders as make
from tests.builders import BTCTRY, FEES, SECOND_NS, START_NS

LIMITS: Final = RiskLimits(buy_cooldown_ms=0)
DAY_NS: Final = 86_400 * SECOND_NS
BOUGHT: Final = make.intent(1)


class Gate:
    """One life of the gate after another over the same facts, with prices a test moves."""

    def __init__(self) -> None:
        self.now_ns = START_NS
        self.bid = 2_499_990
        self.facts: list[Fact] = [
            make.trading(), make.opening(TRY=100_000), make.submitting(BOUGHT), make.fill(BOUGHT),
            make.closed(BOUGHT, "0.001"),
        ]  # fmt: skip
        self.asked: list[Any] = []
        self.begin()

    def begin(self) -> None:
        self.actor = risk_gate.actor(LIMITS, FEES)
        heard: list[Struct] = [Started(epoch=1), make.instrument_rules(), make.feed_state()]
        peers = ("market_data", "execution", "control")
        heard += [PeerBack(source=name, epoch=1, pid=1) for name in peers]
        for message in (*heard, *self.facts):
            self.tell(message)
        self.quote()
        self.tell(CaughtUp(head=len(self.facts)))

    def tell(self, message: Struct) -> list[Struct]:
        step = self.actor.handle(self.actor.state, message, self.now_ns)
        for effect in step.effects:
            if isinstance(effect, Ask):
                self.asked.append(effect.message)
                if isinstance(effect.message, Record):
                    self.facts.append(make.recorded(effect.message, self.now_ns))
        return list(step.effects)

    def say(self, fact: Fact) -> None:
        self.facts.append(fact)
        self.tell(fact)

    def quote(self) -> None:
        top = make.book_top(bid=self.bid, ask=self.bid + 20, confirmed_ns=self.now_ns)
        self.tell(top)

    def look(self, ns: int = SECOND_NS, bid: int | None = None) -> list[Struct]:
        """Let time pass and the price move, and let it look."""
        self.now_ns += ns
        self.bid = self.bid if bid is None else bid
        self.quote()
        return self.tell(Woken(name="say", due_ns=self.now_ns))

    def after(self, ns: int = SECOND_NS, bid: int | None = None) -> RiskState:
        """Let time pass and the price move; return what is said then."""
        effects = self.look(ns, bid)
        [said] = [effect.message for effect in effects if isinstance(effect, Publish)]
        assert isinstance(said, RiskState)
        return said

    def judge(self, wish: OrderIntent) -> Rule | None:
        at = replace(wish, expires_ns=self.now_ns + SECOND_NS, decided_ns=self.now_ns)
        self.tell(at)
        found: Rule | None = getattr(self.asked[-1], "rule", None)
        return found


def wish(number: int, side: Side, bid: int) -> OrderIntent:
    return make.intent(number, side=side, quantity="0.001", limit_price=bid)


CRASH: Final = 490_000  # 0.001 BTC at this price has lost some 2,010 TRY.


def test_a_days_loss_ends_buying_and_never_selling_and_the_next_day_begins_anew() -> None:
    gate = Gate()
    assert gate.after().mode is RiskMode.NORMAL

    said = gate.after(bid=CRASH)

    assert (said.mode, said.concerns) == (RiskMode.REDUCE, (Concern.DAILY_LOSS,))
    assert gate.judge(wish(2, Side.BUY, CRASH)) is Rule.DAILY_LOSS
    assert gate.judge(wish(3, Side.SELL, CRASH + 20)) is None
    assert gate.after(DAY_NS).mode is RiskMode.NORMAL


def test_a_new_life_remembers_with_what_the_day_began() -> None:
    gate = Gate()
    gate.after()
    gate.after(DAY_NS, bid=CRASH + 1_000_000)  # Yesterday's loss, below the limit, is not today's.
    assert [kept.key for kept in gate.asked if isinstance(kept, Record)] == [
        "2026-11-18", "2026-11-19",
    ]  # fmt: skip
    gate.after(bid=CRASH)
    before = gate.actor.state.standing

    gate.begin()
    gate.after()

    now, lost = gate.actor.state.standing, (Decimal(1_000), Decimal(2_010), Decimal(2_010))
    assert (now.day_loss, now.week_loss, now.drawdown) == lost
    assert (before.day_loss, before.week_loss, before.drawdown) == lost


def test_a_gate_that_shows_nobody_its_limits_keeps_and_judges_the_same() -> None:
    shown, unseen = Gate(), Gate()
    unseen.tell(PeerLost(source="control"))
    verdicts = []

    rises_and_falls = (2_499_990, 4_499_990, 3_000_000, 2_900_000, CRASH, 2_499_990)
    for number, bid in enumerate(rises_and_falls):
        for gate in (shown, unseen):
            for _ in range(3):  # The best is kept once a minute.
                gate.look(61 * SECOND_NS, bid)
        buy = replace(wish(10 + number, Side.BUY, bid), slot=f"test:{number}")
        verdicts.append((shown.judge(buy), unseen.judge(buy)))
        if number == 3:
            for gate in (shown, unseen):
                gate.look(DAY_NS)

    assert [one for one, _ in verdicts] == [other for _, other in verdicts]
    assert {one for one, _ in verdicts} >= {None, Rule.DAILY_LOSS}
    kept = [[one for one in gate.asked if isinstance(one, Record)] for gate in (shown, unseen)]
    assert [(one.kind, one.key, one.payload) for one in kept[0]] == [
        (one.kind, one.key, one.payload) for one in kept[1]
    ]
    assert {one.kind for one in kept[0]} == {BEST, DAY}


def test_what_a_held_pair_lost_without_a_price_is_not_known_and_refuses() -> None:
    gate = Gate()
    del gate.actor.state.marks[BTCTRY]
    gate.actor.state.is_moved = True
    gate.tell(Woken(name="say", due_ns=gate.now_ns))

    said = gate.actor.state.said

    assert said is not None
    assert said.concerns == (Concern.ACCOUNT_UNKNOWN,)


def kills(gate: Gate) -> list[SetTradingState]:
    return [asked for asked in gate.asked if isinstance(asked, SetTradingState)]


def contradict(gate: Gate, count: int) -> None:
    for number in range(count):
        gate.say(Discrepancy(subject="books", detail=f"differ {number}", at_ns=gate.now_ns))
        gate.after()


def test_three_contradictions_within_an_hour_kill_once_until_a_person_resumes() -> None:
    gate = Gate()
    contradict(gate, 2)
    assert kills(gate) == []
    assert gate.after().mode is RiskMode.OBSERVE

    contradict(gate, 2)

    [kill] = kills(gate)
    assert (kill.state, kill.by) == (TradingState.KILLED, "risk_gate")

    gate.say(make.trading())  # A person resumes: what was is over.
    assert gate.after().mode is RiskMode.NORMAL
    contradict(gate, 2)
    assert kills(gate) == [kill]
    contradict(gate, 1)
    assert len(kills(gate)) == 2


def test_contradictions_of_another_hour_or_before_a_resume_kill_nobody_in_a_new_life() -> None:
    gate = Gate()
    contradict(gate, 2)
    gate.after(3_601 * SECOND_NS)
    contradict(gate, 1)
    gate.begin()
    gate.after()

    assert kills(gate) == []
