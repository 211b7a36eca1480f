"""A life that begins with what an earlier one folded is the life that read every fact."""

import dataclasses
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from actors import CODEC, strategy
from btcbot.agent.contracts import AgentSetup
from btcbot.agent.policy import AgentPolicy
from btcbot.backtest import Plan, Stage
from btcbot.domain.agent import AGENT_MODE, AGENT_OWNER, AgentMode, ModeOrdered
from btcbot.domain.ids import CommandId
from btcbot.domain.messages import AccountSnapshot, BookTop, OrderIntent, Record, RiskState
from btcbot.domain.money import ZERO
from btcbot.domain.words import FeedStatus
from btcbot.pipeline.seats import alone
from btcbot.portfolio import adaptive
from btcbot.sim import restless
from btcbot.sim.setup import LOOSE, WIDE
from btcbot.strategies.contract import NO_WANTS
from bus.actor import Actor, CaughtUp, Kept, Started
from bus.kept import Fold, restored
from tests import builders as make
from tests.builders import BTCTRY, FEES, START_NS
from tests.stages import fresh, market

FOLDING = ("strategy", "risk_gate", "accounting", "control", "dashboard")
SECONDS = 120
LATER_NS = START_NS + 3_600_000_000_000
RESTLESS = Plan(
    strategy=restless.NAME,
    params=restless.Settings(),
    hosted=(restless,),
    pair=BTCTRY,
    limits=LOOSE,
    caps=WIDE,
    has_codec=True,
)
Numbered = list[tuple[int, Struct]]


@pytest.fixture(scope="module")
def log() -> Numbered:
    """Return every fact of two minutes of lively trading, with sequences."""
    played = Stage(RESTLESS, START_NS, keeps_log=True)
    played.play(market(SECONDS))
    return facts_of(played)


def fresh_of(name: str) -> Actor[Any]:
    """Return the actor of this run before its first message."""
    is_traded = name in {"strategy", "risk_gate"}
    return Stage(RESTLESS, START_NS).actor(name) if is_traded else fresh(name)


def facts_of(played: Stage) -> Numbered:
    tags = tuple(sorted({str(k.__struct_config__.tag) for n in FOLDING for k in fresh(n).facts}))
    found: Numbered = []
    after, through = -1, 0
    while through != after:
        after = through
        page, through = played.journal.facts_after(after, tags, 500)
        found += page
    return found


def folded(actor: Actor[Any], facts: Iterable[tuple[int, Struct]], now_ns: int) -> bytes:
    """Return what a witness of `actor` makes of `facts`, as it is kept."""
    witness = Fold(actor, Kept(Path("nowhere"), "", b""), CODEC.encode_message)
    for sequence, fact in facts:
        if type(fact) in actor.facts:
            witness.hear(sequence, fact)
            witness.work(now_ns, is_caught_up=False)
    return msgspec.msgpack.encode(witness._state)


def lived(actor: Actor[Any], state: Any, facts: Iterable[tuple[int, Struct]], head: int) -> bytes:
    """Return the state of a life that begins with `state` and catches up with `facts`."""
    state = actor.handle(state, Started(epoch=7), LATER_NS).state
    for _, fact in facts:
        if type(fact) in actor.facts:
            state = actor.handle(state, fact, LATER_NS).state
    return msgspec.msgpack.encode(actor.handle(state, CaughtUp(head=head), LATER_NS).state)


@pytest.mark.parametrize("name", FOLDING)
def test_the_state_is_the_same_wherever_the_earlier_life_ended(name: str, log: Numbered) -> None:
    head = log[-1][0]
    whole = lived(fresh_of(name), fresh_of(name).state, log, head)
    assert len(log) > 150

    for cut in range(0, len(log) + 1, 11):
        kept = folded(fresh_of(name), log[:cut], LATER_NS)
        after = fresh_of(name)
        assert lived(after, restored(after, kept), log[cut:], head) == whole, f"cut at {cut}"


class Interrupted(Stage):
    """A stage on which one actor ends in the middle and lives again."""

    ends = ""
    is_kept = False

    def actor(self, name: str) -> Actor[Any]:
        made = super().actor(name)
        if name != self.ends or not self.is_kept:
            return made
        # What it was when the facts were said is not known here: time is that of the begin.
        facts = [row for row in facts_of(self) if type(row[1]) in made.facts]
        half = facts[: len(facts) // 2]
        assert half, "nothing was traded before"
        state = restored(made, folded(made, half, START_NS))
        return dataclasses.replace(made, state=state, kept=Kept(Path(), "", b"", half[-1][0]))


def interrupted(name: str, *, is_kept: bool) -> list[Struct]:
    """Return all that is said of a run after `name` ended in its middle and lives again."""
    played = Interrupted(RESTLESS, START_NS, keeps_log=True)
    played.bus.start(fresh("control"))  # Somebody whom the gate shows its limits.
    events = list(market(2 * SECONDS))
    played.follow(event for event in events if event.at_ns < START_NS + SECONDS * 10**9)
    played.ends, played.is_kept = name, is_kept
    played.bus.crash(name)
    played.bus.advance(2)
    played.start(name)
    before = len(played.bus.log)
    played.follow(event for event in events if event.at_ns > played.clock.now_ns())
    return played.bus.log[before:]


@pytest.mark.parametrize(
    ("name", "says"),
    [("strategy", OrderIntent), ("risk_gate", RiskState), ("accounting", AccountSnapshot)],
)
def test_all_that_is_said_afterwards_is_the_same(name: str, says: type[Struct]) -> None:
    read_all = interrupted(name, is_kept=False)
    from_kept = interrupted(name, is_kept=True)

    assert [m for m in from_kept if isinstance(m, says)][3:], "it fell silent"
    assert list(map(CODEC.encode_message, from_kept)) == list(map(CODEC.encode_message, read_all))


def test_the_seats_of_a_strategy_look_at_its_own_prices_and_rules() -> None:
    actor = fresh_of("strategy")
    state = restored(actor, msgspec.msgpack.encode(actor.state))

    for message in (make.book_top(), make.instrument_rules(BTCTRY)):
        state = actor.handle(state, message, START_NS).state

    [seat] = state.seats.values()
    assert list(seat.view.tops) == list(seat.view.rules) == [BTCTRY]


class Last(Struct):
    """What a strategy of a person's own may remember of a pair."""

    bid: Decimal = ZERO


class Own:
    """A strategy whose state says nothing of what is inside: a dict may hold anything."""

    NAME, WANTS_DEPTH, DECIDES_ON_FILLS = "own", False, False
    Params = restless.Settings

    @staticmethod
    def start(_params: Any) -> dict[str, Last]:
        return {"last": Last()}

    @staticmethod
    def decide(state: Any, _params: Any, _view: Any, top: BookTop, _now_ns: int) -> Any:
        state["last"].bid = top.bid
        return state, NO_WANTS


def test_a_strategy_begins_anew_with_what_it_made_itself() -> None:
    own: Any = Own
    one = strategy.actor(alone(Own.NAME, Own.Params()), FEES, (own,))
    kept = folded(one, [(1, make.opening(TRY=1_000))], START_NS)
    life, witness = restored(one, kept), restored(one, kept)
    life.may_decide, life.trusted = True, {BTCTRY: FeedStatus.LIVE}

    one.handle(life, make.book_top(), START_NS)

    assert life.seats[Own.NAME].inner == {"last": Last(make.book_top().bid)}
    assert witness.seats[Own.NAME].inner == Own.start(None)  # Nothing is shared between the two.


def test_a_strategy_that_changes_itself_goes_on_from_the_version_that_holds() -> None:
    plan = Plan(strategy="adaptive", params=adaptive.DEMO, pair=BTCTRY)
    played = Stage(plan, START_NS, keeps_log=True)
    played.play(market(SECONDS))
    log = facts_of(played)

    def begun() -> Actor[Any]:
        return Stage(plan, START_NS).actor("strategy")

    after = restored(begun(), folded(begun(), log, LATER_NS))

    assert after.seats["adaptive"].inner.judged > 1
    assert lived(begun(), after, [], log[-1][0]) == lived(begun(), begun().state, log, log[-1][0])


def test_a_policy_goes_on_as_it_was_ordered() -> None:
    setup = AgentSetup(mode=AgentMode.ADVISE)
    seats = alone(restless.NAME, restless.Settings())
    actor = strategy.actor(seats, FEES, (restless,), AgentPolicy(setup))
    payload = msgspec.json.encode(ModeOrdered(mode=AgentMode.OFF, by="me", reason="a test"))
    ordered = Record(
        command_id=CommandId("ctl-1-1"), owner=AGENT_OWNER, kind=AGENT_MODE, key=AGENT_MODE,
        payload=payload,
    )  # fmt: skip

    kept = folded(actor, [(1, make.recorded(ordered))], START_NS)

    assert actor.state.policy.mode is AgentMode.ADVISE  # A witness is nobody's state.
    assert restored(actor, kept).policy == msgspec.structs.replace(
        actor.state.policy, mode=AgentMode.OFF
    )
