"""The bench: real chains, real commits, the same job on both sides, ratios judged as said."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from btcbot import backtest
from btcbot.bench import goals, nautilus, stage, submits
from btcbot.bench.pairs import BenchError, Figure, in_pairs, percentile
from btcbot.cli import exits
from btcbot.domain.ids import Pair, intent_id
from btcbot.domain.messages import ApprovedOrder, OrderIntent, RefuseIntent
from btcbot.domain.money import Price, Quantity
from btcbot.domain.words import Rule, Side
from btcbot.store.writer import Writer

BTCBOT = Path(sys.executable).with_name("btcbot")


def figure(ratios: tuple[float, ...], limit: float | None, *, is_floor: bool) -> Figure:
    return Figure(
        name="G0", what="", ratios=ratios, ours=1, yardstick=1, unit="", limit=limit,
        is_floor=is_floor,
    )  # fmt: skip


def wanted(number: int) -> OrderIntent:
    return OrderIntent(
        intent_id=intent_id("bench", 1, number, 0), strategy="bench", slot=f"bench:{number}",
        pair=Pair("BTCTRY"), side=Side.BUY, quantity=Quantity(Decimal(1)),
        limit_price=Price(Decimal(1)), reason="", seen_ns=1, decided_ns=1, expires_ns=2,
    )  # fmt: skip


def approved(number: int) -> ApprovedOrder:
    return ApprovedOrder(intent=wanted(number), approved_ns=1)


def refused(number: int) -> RefuseIntent:
    return RefuseIntent(intent=wanted(number), rule=Rule.OPEN_ORDERS, detail="40 are live")


def test_ours_and_the_yardstick_take_turns_and_the_ratio_is_of_a_pair() -> None:
    order: list[str] = []
    mine, theirs = iter([10.0, 30.0, 1.0]), iter([5.0, 10.0, 4.0])

    def turn(name: str, values: Iterator[float]) -> Callable[[], float]:
        def run() -> float:
            order.append(name)
            return next(values)

        return run

    ratios, ours, yardstick = in_pairs(3, turn("ours", mine), turn("yardstick", theirs))

    assert order == ["ours", "yardstick"] * 3
    assert ratios == (2.0, 3.0, 0.25)
    assert (ours, yardstick) == (10.0, 5.0)


def test_a_goal_is_judged_by_the_median_of_its_ratios() -> None:
    assert figure((9.0, 1.4, 1.5), 1.5, is_floor=False).is_met
    assert not figure((9.0, 1.4, 1.6), 1.5, is_floor=False).is_met
    assert figure((0.1, 2.0, 2.0), 2.0, is_floor=True).is_met
    assert not figure((3.0, 1.9, 1.9), 2.0, is_floor=True).is_met
    assert figure((0.0,), None, is_floor=True).is_met


def test_a_percentile_leaves_out_the_first_twentieth() -> None:
    assert percentile([10_000] * 5 + list(range(95)), 0.5) == 47


@pytest.mark.parametrize(
    "roles", [goals.OURS, goals.RAW, goals.OURS_COMMITTING, goals.RAW_COMMITTING]
)
def test_every_tick_goes_through_four_processes_in_time(
    roles: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("deep" * 25)
    deep.mkdir()
    monkeypatch.chdir(deep)

    taken_us = goals._chain(roles, 100, 200)

    assert 10 < taken_us < 60_000_000
    assert list(deep.iterdir()) == [], "nothing is left behind"


def test_a_process_of_the_chain_that_dies_is_named_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(BenchError, match="raw_nothing of the chain died"):
        goals._chain(("raw_last", "raw_nothing"), 10, 100)


def test_a_submit_is_judged_and_committed_before_it_is_timed_as_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(submits, "SUBMITS", 40)
    figure = submits.submit(1, 0.5, 3.0)
    assert figure.name == "submit-p50"
    assert figure.ours > figure.yardstick > 0  # Nothing that holds can be cheaper than the disk.


def test_commits_and_appends_are_durable_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(goals, "COMMITS", 20)

    assert goals._commits() > 0
    assert goals._appends() > 0


def test_quotes_are_the_same_for_the_same_seed_and_a_tenth_of_a_second_apart() -> None:
    quotes = list(goals.made_quotes(500))

    assert quotes == list(goals.made_quotes(500))
    assert quotes != list(goals.made_quotes(500, seed=8))
    assert {b.at_ns - a.at_ns for a, b in pairwise(quotes)} == {100_000_000}
    assert all(quote.bid < quote.ask for quote in quotes)


def test_the_measured_backtest_trades_at_every_cross_of_the_means() -> None:
    quotes = list(goals.made_quotes(20_000))
    fast = slow = float(quotes[0].bid + quotes[0].ask) / 2
    crosses, is_long = 0, False
    for n, quote in enumerate(quotes[1:], 2):
        middle = float(quote.bid + quote.ask) * 0.5
        fast += 2 / 201 * (middle - fast)
        slow += 2 / 1_001 * (middle - slow)
        if n >= 1_000 and (fast > slow) is not is_long:
            crosses, is_long = crosses + 1, not is_long

    played = backtest.Stage(goals.quotes_plan(has_codec=False), quotes[0].at_ns)
    played.play(iter(quotes))
    result = played.result(0, 0)

    # A cross that is taken back before the first order has settled is not traded.
    assert 0.8 * crosses <= len(result.orders) <= crosses
    assert len(result.orders) > 10
    assert not result.refusals
    filled = sum(Decimal(row["filled"]) for row in result.orders)
    assert filled == Decimal("0.1") * len(result.orders)


def test_without_nautilus_the_figure_is_reported_and_not_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(goals, "QUOTES", 2_000)

    found = goals.backtest_quotes(1, None, has_codec=True)

    assert "a bare loop" in found.what
    assert found.limit is None
    assert found.is_met


def test_nautilus_runs_in_its_own_interpreter_and_its_failure_is_told(tmp_path: Path) -> None:
    fine, broken = tmp_path / "fine", tmp_path / "broken"
    fine.write_text('#!/bin/sh\necho "warming up"\necho 1234.5\n', encoding="utf-8")
    broken.write_text("#!/bin/sh\necho no nautilus here >&2\nexit 1\n", encoding="utf-8")
    for path in (fine, broken):
        path.chmod(0o700)

    assert nautilus.quotes_a_second(fine, 10) == 1234.5
    with pytest.raises(BenchError, match="no nautilus here"):
        nautilus.quotes_a_second(broken, 10)


def test_the_command_prints_figures_and_exits_by_whether_goals_are_met(tmp_path: Path) -> None:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("BTCBOT__")}

    done = subprocess.run(
        [BTCBOT, "bench", "--goal", "G4", "--pairs", "5", "--json"],
        cwd=tmp_path, env={**clean, "HOME": str(tmp_path)}, capture_output=True, text=True,
        timeout=110, check=False,
    )  # fmt: skip

    [row] = json.loads(done.stdout)["figures"]
    assert (row["goal"], row["limit"], len(row["ratios"])) == ("G4", ">= 0.6", 5)
    assert row["ratio"] == sorted(row["ratios"])[2]
    assert row["met"] is (row["ratio"] >= 0.6)
    assert done.returncode == (exits.OK if row["met"] else exits.PROBLEM), done.stderr


def test_an_order_that_is_asked_for_again_is_committed_once(tmp_path: Path) -> None:
    writer = Writer(":memory:")
    handle, state = stage.sink(writer, tmp_path / "taken.json"), stage.Sink(2)

    for message in (approved(1), approved(1), approved(2)):
        state = handle(state, message, 1).state

    assert writer.head == len(state.taken_ns) == 2


def test_a_stall_costs_the_orders_it_refused_and_not_the_measurement(tmp_path: Path) -> None:
    out = tmp_path / "taken.json"
    handle, state = stage.sink(None, out), stage.Sink(3)

    for message in (approved(1), refused(2), refused(2), approved(1), approved(3)):
        step = handle(state, message, 1)
        state = step.state
        assert len(step.effects) == 1, "a request that is asked again is answered again"

    assert len(json.loads(out.read_bytes())) == 2
    assert "open_orders" in out.with_suffix(".refused").read_text(encoding="utf-8")
