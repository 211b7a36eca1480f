"""The simulation itself: the same every time, quiet where nothing fails, small where it fails."""

import asyncio
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from msgspec.structs import asdict, fields, replace

from btcbot.orders.recovery import Recovered
from btcbot.sim import campaign, lines
from btcbot.sim.plan import Plan, draw
from btcbot.sim.run import Report, simulate
from btcbot.sim.seams import Killed
from btcbot.sim.world import World

ROOT: Final = Path(__file__).parents[2]
SEEDS: Final = range(5_000, 5_020)
CUTS: Final = 20
CRASHES: Final = 20
# A network that hands every POST to the kernel twice.
TWICE: Final = """
import sys
from btcbot.cli.main import main
from btcbot.sim.network import SimulatedNetwork

left = SimulatedNetwork.left

def twice(network, data):
    left(network, data)
    left(network, data)

SimulatedNetwork.left = twice
sys.argv = ["btcbot", "sim", "--seed", "3"]
main()
"""


def btcbot(*arguments: str, code: str = "") -> "subprocess.CompletedProcess[str]":
    wanted = ["-c", code] if code else ["-m", "btcbot.cli.main", *arguments]
    return subprocess.run(
        [sys.executable, *wanted], cwd=ROOT, capture_output=True, text=True, check=False
    )


# --- determinism ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 16])
def test_a_seed_takes_the_same_course_in_another_process(seed: int) -> None:
    code = f"from btcbot.sim.campaign import run_seed; print(run_seed({seed}).trace)"
    traces = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True, text=True, check=True,
        ).stdout.strip()
        for hash_seed in ("0", "4711")
    }  # fmt: skip

    assert traces == {campaign.run_seed(seed).trace}


def test_another_seed_takes_another_course() -> None:
    assert campaign.run_seed(2).trace != campaign.run_seed(3).trace


def test_every_fault_is_drawn_sometimes_and_never_always() -> None:
    plans = [draw(seed) for seed in range(1, 1_001)]

    for field in fields(Plan)[4:]:
        times = sum(bool(getattr(plan, field.name)) for plan in plans)
        assert 0 < times < 1_000, field.name


# --- what it finds --------------------------------------------------------------------------------


def test_where_nothing_fails_every_order_is_answered_and_the_books_are_equal() -> None:
    def arm(world: World) -> None:
        worlds.append(world)

    worlds: list[World] = []
    report = simulate(Plan(seed=3, trading_s=90, pairs=2), arm)

    assert report.violations == ()
    theirs = worlds[0].host.orders_of(worlds[0].prefix)
    assert len(theirs) == report.orders > 15
    assert report.fills > 8
    assert report.sometimes["fate well"] == report.orders


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", SEEDS)
def test_no_promise_is_broken(seed: int) -> None:
    assert campaign.run_seed(seed).violations == ()


@pytest.fixture(scope="module")
def cuts() -> list[lines.Cut]:
    return lines.chosen(lines.cuts(lines.reached(), 1, again=True), CUTS, 7)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", range(CUTS))
def test_a_kill_at_any_line_breaks_no_promise(cuts: list[lines.Cut], number: int) -> None:
    report = lines.kill_at(cuts[number])

    assert report.violations == (), cuts[number]
    assert report.sometimes["killed at a line"] >= 1
    assert report.cut == str(cuts[number])


def test_lines_can_be_had_of_some_files_only(cuts: list[lines.Cut]) -> None:
    files = {cut.file for cut in lines.within(cuts, ("btcbot/orders/",))}

    assert files
    assert all(name.startswith("btcbot/orders/") for name in files)


# --- crashes in a row -----------------------------------------------------------------------------


class Crashes:
    """Kills execution, then kills the recoveries that follow, each at a line drawn for it."""

    def __init__(self, world: World, count: int) -> None:
        self._world, self._left = world, count
        self._draw, self._countdown = random.Random("crashes"), 0
        self.before: Recovered | None = None
        self.crashes = 0
        recovered = world._recovered

        def counted() -> object:
            if self.before is not None and self._left:
                self._left -= 1
                self._countdown = self._draw.randint(1, 150)
            return recovered()

        world._recovered = counted  # type: ignore[method-assign, assignment]
        world.tracer = lines._tracer(self._line)

    def kill(self) -> None:
        writer = self._world.writer
        assert writer is not None, "execution is down"
        self.before = writer.reader.recover()
        self._world.kill("execution")

    def _line(self, _file: str, _line: int) -> None:
        if self._countdown:
            self._countdown -= 1
            if not self._countdown:
                self.crashes += 1
                self._world.go_dead("execution")
                raise Killed("inside recovery")


def test_twenty_crashes_inside_recovery_leave_what_one_leaves() -> None:
    found: list[Recovered] = []

    def arm(world: World) -> None:
        crashes.append(Crashes(world, CRASHES))

        def look() -> None:
            assert world.writer is not None, "execution did not come up"
            found.append(world.writer.reader.recover())

        loop = asyncio.get_running_loop()
        loop.call_later(40.0, crashes[0].kill)
        loop.call_later(40.0 + 2.1 * (CRASHES + 1), look)

    crashes: list[Crashes] = []
    report = simulate(Plan(seed=3, trading_s=120, submit_silent=0.2, cancel_slow_s=2), arm)

    assert report.violations == ()
    assert crashes[0].crashes > CRASHES // 2  # The others had begun to work again before that line.
    before, [after] = crashes[0].before, found
    assert before is not None
    assert before.orders
    assert after.epoch > before.epoch
    assert before.fills.items() <= after.fills.items()
    assert {o.intent.intent_id for o in before.orders} <= {o.intent.intent_id for o in after.orders}
    assert after.opening == before.opening


# --- shrinking ------------------------------------------------------------------------------------


def failing(is_bad: Callable[[Plan], bool]) -> Callable[[Plan], Report]:
    """Return a run that breaks a promise where `is_bad`."""

    def run(plan: Plan) -> Report:
        return Report(
            plan=plan, violations=("I1",) if is_bad(plan) else (), sometimes={}, trace="",
            handled=0, orders=0, fills=0, trading="LIVE", rest_s=0,
        )  # fmt: skip

    return run


def test_a_failure_is_shrunk_to_the_faults_it_needs() -> None:
    run = failing(lambda plan: bool(plan.jumps and plan.bus_drop))
    seed = next(s for s in range(1, 1_000) if run(draw(s)).violations)

    small = campaign.shrink(run(draw(seed)), run)

    assert set(small.plan.faults) == {"jumps", "bus_drop"}
    assert small.plan.trading_s <= 30
    assert small.violations


def test_what_cannot_be_shrunk_stays() -> None:
    plan = replace(Plan(seed=1), trading_s=30)

    assert campaign.shrink(failing(lambda _: True)(plan), failing(lambda _: True)).plan == plan


# --- the command ----------------------------------------------------------------------------------


def test_a_seed_is_told_as_json() -> None:
    done = btcbot("sim", "--seed", "3", "--json")

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["seed"] == 3
    assert told["violations"] == []
    assert told["faults"] == {n: v for n, v in asdict(draw(3)).items() if n in draw(3).faults}


def test_several_seeds_are_told_together() -> None:
    done = btcbot("sim", "--seed", "3", "--seeds", "2", "--jobs", "2", "--json")

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["runs"] == 2
    assert told["unequal"] == []
    assert told["never"]  # Two seeds do not show everything, and that is no failure of two.


def test_a_broken_promise_ends_with_7_and_is_named() -> None:
    done = btcbot(code=TWICE)

    assert done.returncode == 7, done.stdout
    assert "BROKEN I1" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["--without", "rain"],
        ["--seeds", "2", "--without", "jumps"],
        ["--seeds", "2", "--for", "60"],
        ["--seeds", "2", "--lines-of", "btcbot/orders"],
        ["--seeds", "-1"],
        ["--jobs", "0"],
    ],
)
def test_nonsense_is_refused(arguments: list[str]) -> None:
    done = btcbot("sim", *arguments)

    assert done.returncode == 2
    assert done.stderr
