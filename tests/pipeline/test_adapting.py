"""`adaptive` with all actors on one bus: it trades, changes itself, goes back, and remembers."""

from typing import Any, Final

import pytest
from msgspec import json
from msgspec.structs import replace

from actors import CODEC
from btcbot.backtest import Stage
from btcbot.domain.adaptation import Adaptation, Outcome
from btcbot.domain.facts import Recorded
from btcbot.domain.messages import AccountSnapshot, OrderIntent
from btcbot.portfolio import adaptive
from btcbot.portfolio.adaptation import Lineage
from btcbot.portfolio.adaptive import Params
from btcbot.portfolio.tuning import Bounds, Rollback
from btcbot.risk.limits import RiskLimits
from btcbot.store.queries import History
from bus.actor import Actor
from tests.builders import SECOND_NS, START_NS
from tests.pipeline.rooms import FREE
from tests.portfolio.markets import D
from tests.stages import PLAN, Tape, market, spelled

# Buys a little at each look, so that it always has something to do; loses whatever it likes.
BUSY: Final = replace(
    adaptive.DEMO, band=D(0), cycle_max=D(500), bounds=Bounds(cycle_max=(D(450), D(600))),
    offset_bps=D(0), every_s=5, life_s=4, period_s=20, rollback=Rollback(loss_max=D(100_000)),
)  # fmt: skip
# A millionth of the capital is too far to fall: each version is bad after its first loss.
TIMID: Final = replace(BUSY, rollback=Rollback(loss_max=D(100_000), drawdown_max=D("0.000001")))
THROTTLING: Final = RiskLimits(orders_per_minute_max=3)


class Taped(Stage):
    """A stage that keeps what each life of the strategy actor handled and said."""

    def actor(self, name: str) -> Actor[Any]:
        found = super().actor(name)
        if name != "strategy":
            return found
        self.tape = Tape()
        return self.tape.recorded(found)


def begun(params: Params = BUSY, **changes: Any) -> Taped:
    """Return a stage of one busy seat, before anything happened."""
    plan = replace(PLAN, strategy="adaptive", params=params, fees=FREE, **changes)
    return Taped(plan, START_NS, keeps_log=True)


def played(params: Params = BUSY, seconds: int = 100, **changes: Any) -> Taped:
    stage = begun(params, **changes)
    stage.play(market(seconds))
    return stage


def told(stage: Stage) -> list[Adaptation]:
    """Return every record as execution wrote it down, in order."""
    facts = (fact for fact in stage.bus.heard(Recorded) if fact.kind == "adaptation")
    return [json.decode(fact.payload, type=Adaptation) for fact in facts]


def path(stage: Stage) -> list[tuple[str, int, int, tuple[str, ...]]]:
    return [(row.outcome, row.from_version, row.to_version, row.reasons) for row in told(stage)]


def lineage(stage: Stage) -> Lineage:
    found = stage.bus.state("strategy").seats["adaptive"].inner
    assert isinstance(found, Lineage)
    return found


@pytest.fixture(scope="module")
def throttled() -> Taped:
    """Return a stage on which too many orders were refused for their number."""
    return played(limits=THROTTLING)


@pytest.fixture(scope="module")
def timid() -> Taped:
    """Return a stage on which every loss is too much."""
    return played(TIMID, 160)


def test_orders_refused_for_their_number_lead_to_fewer_and_a_version_that_does_not_help_goes(
    throttled: Taped,
) -> None:
    assert path(throttled)[:3] == [
        ("APPLIED", 1, 2, ("throttled",)),
        ("ROLLED_BACK", 2, 1, ("throttled",)),
        ("REJECTED", 1, 1, ("throttled", "known_bad")),
    ]
    first = told(throttled)[0]
    assert [(c.name, c.before, c.after) for c in first.changes] == [("orders_max", D(4), D(3))]
    refused = [r for r in History(throttled.journal.reader).intents() if r["rule"] == "order_rate"]
    assert sum(row.window[-1].throttled for row in told(throttled)) <= len(refused)
    assert first.window[-1].throttled == 3


def test_what_a_version_says_is_what_is_ordered_under_it(timid: Taped) -> None:
    by_version: dict[str, list[Any]] = {}
    for wish in timid.bus.heard(OrderIntent):
        worth = wish.quantity * wish.limit_price
        by_version.setdefault(wish.reason, []).append(worth)

    assert {Outcome.APPLIED, Outcome.ROLLED_BACK} <= {row.outcome for row in told(timid)}
    assert 475 < max(by_version["version 1"]) <= 500
    assert 450 < max(by_version["version 2"]) <= 475


def test_a_period_is_counted_once_and_its_results_add_up_to_the_accounts(timid: Taped) -> None:
    """Of each period what happened in it: together they are the account's own profit."""
    periods = [row.window[-1] for row in told(timid)]

    assert [row.start_ns for row in periods[1:]] == [row.end_ns for row in periods[:-1]]
    fills = [f for f in History(timid.journal.reader).fills() if f["ts_ns"] < periods[-1].end_ns]
    assert abs(sum(row.fills for row in periods) - len(fills)) <= 1  # One may be on its way.
    for row in periods:
        at = [a for a in timid.bus.heard(AccountSnapshot) if a.at_ns <= row.end_ns][-1]
        [held] = at.positions
        assert row.result is not None
        # The price of the accounts may be a second older.
        assert abs(row.result - held.realized_pnl - held.unrealized_pnl) < 10
    assert periods[-1].result == sum(row.net_pnl or 0 for row in periods)
    assert max(row.drawdown for row in periods) < D("0.01")  # A part of one, not percent.


@pytest.mark.parametrize("at_s", [30, 55, 75])
def test_a_life_that_ends_leaves_version_window_and_counts_to_the_next(at_s: int) -> None:
    stage, events = begun(limits=THROTTLING), market(100)
    for event in events:
        stage.follow([event])
        if event.at_ns >= START_NS + at_s * SECOND_NS:
            break
    before, seat = lineage(stage), stage.bus.state("strategy").seats["adaptive"]
    assert before.judged
    was = (seat.tally.counts.sent, seat.tally.counts.fills, seat.tally.flows, seat.tally.since_ns)

    stage.bus.crash("strategy")
    stage.start("strategy")
    stage.bus.advance(0.1)

    seat = stage.bus.state("strategy").seats["adaptive"]
    assert lineage(stage) == before
    assert was == (
        seat.tally.counts.sent, seat.tally.counts.fills, seat.tally.flows, seat.tally.since_ns
    )  # fmt: skip
    stage.play(events)
    numbers = [row.number for row in told(stage)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert lineage(stage).judged > before.judged


def test_a_replay_of_its_inbox_says_the_same_and_ends_with_the_same_version(
    throttled: Taped,
) -> None:
    again = begun(limits=THROTTLING).actor("strategy")
    state, said = again.state, []
    for now_ns, frame in throttled.tape.handled:
        step = again.handle(state, CODEC.decode_message(frame), now_ns)
        state = step.state
        said.append(spelled(step))

    assert said == throttled.tape.said
    assert state.seats["adaptive"].inner == lineage(throttled)


def test_the_export_has_every_period_its_version_and_why(throttled: Taped) -> None:
    rows = list(History(throttled.journal.reader).adaptations())

    assert [row["adaptation"] for row in rows] == [row.adaptation for row in told(throttled)]
    assert rows[0]["changes"] == [{"name": "orders_max", "before": "4", "after": "3"}]
    assert rows[0]["reasons"] == ["throttled"]
    assert rows[0]["window"][-1]["throttled"] == 3
    assert rows[0]["values"]["cycle_max"] == "500"
    later = History(throttled.journal.reader).adaptations(rows[1]["at_ns"], rows[2]["at_ns"])
    assert [row["number"] for row in later] == [2]


def test_a_full_cycle_goes_from_prices_to_orders_to_accounts_and_to_a_change_all_traced(
    throttled: Taped,
) -> None:
    history = History(throttled.journal.reader)
    fill = next(history.fills())
    order = history.order(fill["intent_id"])
    assert order is not None
    kinds = [row["kind"] for row in history.story(fill["intent_id"])]
    assert {"order_submitting", "order_acked", "fill", "order_closed", "decision"} <= set(kinds)
    [decision] = [r for r in history.story(fill["intent_id"]) if r["kind"] == "decision"]
    assert decision["fact"]["reason"] == "version 1"
    assert throttled.bus.heard(AccountSnapshot)[-1].positions[0].quantity > 0
    assert lineage(throttled).highest == 2
