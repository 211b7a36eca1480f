"""Several strategies on one account: presets that trade, budgets, records that explain."""

from decimal import Decimal

import msgspec
import pytest
from msgspec.structs import replace

from btcbot.backtest import Stage
from btcbot.domain.decisions import DecisionLine, DecisionRecord, Trigger, Why
from btcbot.domain.ids import Asset
from btcbot.domain.messages import OrderIntent
from btcbot.domain.words import Side
from btcbot.sections import Plan as Caps
from btcbot.store.queries import History
from btcbot.strategies import mean_reversion
from tests.builders import BTCTRY
from tests.pipeline.rooms import played, seat

PRESETS = ("profit_aware", "mean_reversion", "portfolio", "sweep", "adaptive")


@pytest.mark.parametrize("name", PRESETS)
def test_each_preset_trades_on_the_sandboxs_market_and_two_runs_are_the_same_bytes(
    name: str,
) -> None:
    result, stage = played(seat(name))
    again, other = played(seat(name), has_codec=False)

    assert result.fills
    assert msgspec.json.encode(result, enc_hook=str) == msgspec.json.encode(again, enc_hook=str)
    assert stage.bus.heard(DecisionRecord) == other.bus.heard(DecisionRecord)


def test_momentum_buys_nothing_before_it_knows_a_day() -> None:
    result, stage = played(seat("momentum"), seconds=30)

    assert not result.orders
    assert not stage.bus.heard(OrderIntent)


def test_two_seats_hold_what_each_of_them_bought_and_share_the_account() -> None:
    result, stage = played(seat("profit_aware"), seat("second", "mean_reversion"))

    wanted = {intent.intent_id: intent for intent in stage.bus.heard(OrderIntent)}
    assert {intent.strategy for intent in wanted.values()} == {"profit_aware", "second"}
    for name, one in stage.bus.state("strategy").seats.items():
        ours = [f for f in result.fills if wanted[f["intent_id"]].strategy == name]
        signed = [Decimal(f["quantity"]) * (1 if f["side"] == "buy" else -1) for f in ours]
        moved = [
            line.netted * (1 if line.side is Side.BUY else -1)
            for record in stage.bus.heard(DecisionRecord)
            for line in record.lines
            if line.strategy == name
        ]
        held = one.view.holdings.get(BTCTRY)
        assert (held.quantity if held else 0) == sum(signed, Decimal(0)) + sum(moved, Decimal(0))
    assert not stage.bus.state("strategy").moving


def test_a_seat_without_weight_buys_nothing_and_the_record_says_why() -> None:
    result, stage = played(seat("profit_aware", weight=0), seat("second", "mean_reversion"))

    assert {order["strategy"] for order in result.orders} == {"second"}
    whys = {
        line.why
        for record in stage.bus.heard(DecisionRecord)
        for line in record.lines
        if line.strategy == "profit_aware"
    }
    assert whys == {Why.STRATEGY_BUDGET}


def test_a_weight_is_a_part_of_the_capital() -> None:
    seats = seat("portfolio", weight=1), seat("profit_aware", weight=99)
    _, stage = played(*seats, seconds=90)

    held = stage.bus.state("strategy").seats["portfolio"].view.holdings.values()
    cost = sum((one.quantity * one.average_cost for one in held), Decimal(0))
    assert 0 < cost <= 1_000


def netted(stage: Stage) -> list[DecisionLine]:
    return [x for record in stage.bus.heard(DecisionRecord) for x in record.lines if x.netted]


def test_opposite_wishes_meet_inside_and_the_transfer_is_booked_when_it_is_written_down() -> None:
    eager = mean_reversion.Params(
        threshold_bps=0.2, anchor_s=3.0, warm_up_s=2.0, rest_s=0.0, life_s=1.0, cross_bps=0.0,
        order_notional=Decimal(300), position_notional_max=Decimal(900),
    )  # fmt: skip
    fast = seat("fast", "mean_reversion", params=eager)
    slow = seat("slow", "mean_reversion", params=replace(eager, anchor_s=40.0))
    # In most markets they want the same, or at other times.
    runs = (played(fast, slow, seconds=120, seed=seed) for seed in range(1, 21))
    result, stage = next((run for run in runs if netted(run[1])), (None, None))

    assert result is not None, "they never met"
    assert stage is not None
    assert result.fills
    state = stage.bus.state("strategy")
    assert not state.moving
    held = sum((s.view.holdings[BTCTRY].quantity for s in state.seats.values()), Decimal(0))
    assert result.account is not None
    assert held == result.account.positions[0].quantity


def test_every_intent_is_explained_by_the_record_of_its_decision() -> None:
    result, stage = played(seat("profit_aware"), seconds=30)

    history = History(stage.journal.reader)
    kept = list(history.decisions())
    said = stage.bus.heard(DecisionRecord)
    assert [row["decision"] for row in kept] == [record.decision for record in said]
    by_intent = {
        line["intent_id"]: row for row in kept for line in row["lines"] if line["intent_id"]
    }
    for order in result.orders:
        row = by_intent[order["intent_id"]]
        assert row["at_ns"] == order["decided_ns"]
        [story] = [s for s in history.story(order["intent_id"]) if s["kind"] == "decision"]
        assert story["fact"]["decision"] == row["decision"]
        assert story["fact"]["ordered"] == order["quantity"]
        assert len(row["inputs"]) == 16


def test_a_block_that_stays_is_recorded_once_and_counted() -> None:
    _, stage = played(seat("profit_aware"), caps=Caps(order_max=Decimal(0)))

    [record] = stage.bus.heard(DecisionRecord)
    assert [line.why for line in record.lines] == [Why.ORDER_CAP]
    assert record.trigger is Trigger.QUOTE
    assert stage.bus.state("strategy").quiet[Asset("TRY")].unsaid > 0


def test_no_more_than_ten_records_a_minute_tell_of_blocks() -> None:
    _, stage = played(seat("portfolio"), seconds=90, caps=Caps(orders_max=0))

    at = [record.at_ns for record in stage.bus.heard(DecisionRecord)]
    assert at
    assert max(sum(1 for t in at if 0 <= t - first < 60 * 10**9) for first in at) <= 10


@pytest.mark.parametrize("name", PRESETS)
def test_no_plan_spends_more_than_it_might_and_no_wish_grows(name: str) -> None:
    _, stage = played(seat(name), seat("second", "mean_reversion"))

    for record in stage.bus.heard(DecisionRecord):
        assert record.spent <= record.deploy
        for line in record.lines:
            assert line.ordered + line.netted <= line.asked
            assert all(cut.left <= line.asked for cut in line.cuts)
