"""Many seeds on all cores; shrinking one that fails to the few faults it needs."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Final, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from btcbot.parent import die_with_parent
from btcbot.sim.lines import Cut, kill_at
from btcbot.sim.plan import Plan, draw, without
from btcbot.sim.run import Report, simulate

T = TypeVar("T")
AGAIN_EVERY: Final = 100  # One seed in so many runs a second time, under another hash seed.
MUST_HAPPEN: Final = (
    "an outcome is unknown",
    "unknown, then found",
    "unknown, then found filled",
    "unknown, then proven absent",
    "unknown, then acknowledged by a late answer",
    "a late answer after a minute",
    "cancelled after a partial fill",
    "filled after the cancel was accepted",
    "the trade list lags an order's end",
    "killed inside recovery",
    "killed between a commit and what follows",
    "fate refused_by_stamp",
    "facts were lost and caught up",
    "asked to kill with an order in doubt",
    "the disk was full",
    "the disk failed",
    "power was cut",
    "an order believed absent is found",
    "trading is HALTED",
    "an approval expired on its way",
    "a person's trade is booked",
    "a book is read again from a snapshot",
    "the exchange executes more than was ordered",
    "an overfill is noticed",
    "another btcbot is noticed",
    "the machine froze between two effects",
    "an order is not sent: its stamp is too old",
    "the disk was full when an order was to be written down",
    "somebody makes the kill file",
    "two actors were parted",
    "everything was started again",
    "unknown, then refused by a late answer",
    "fate listing_stale",
    "fate listing_short",
    "fate cancel_lost",
    "fate cancel_blocked",
    "fate too_many_requests",
    "fate frame_garbled",
)


class Campaign(Struct, kw_only=True):
    """What came of many runs."""

    runs: int = 0
    handled: int = 0
    orders: int = 0
    fills: int = 0
    failed: list[Report] = []
    sometimes: Counter[str] = Counter()
    unequal: list[int] = []  # Seeds whose second run differed from the first.

    @property
    def missing(self) -> list[str]:
        """Return what must happen sometimes, and never did."""
        return [name for name in MUST_HAPPEN if not self.sometimes[name]]

    def add(self, report: Report) -> None:
        self.runs += 1
        self.handled += report.handled
        self.orders += report.orders
        self.fills += report.fills
        self.sometimes.update(report.sometimes)
        if report.violations:
            self.failed.append(report)


def run_seed(seed: int) -> Report:
    return simulate(draw(seed))


def seeds(first: int, count: int, jobs: int) -> Iterator[Report]:
    """Yield a report per seed, in order."""
    yield from _mapped(run_seed, range(first, first + count), jobs)


def line_kills(cuts: Sequence[Cut], jobs: int) -> Iterator[Report]:
    """Yield a report per cut, in order."""
    yield from _mapped(kill_at, cuts, jobs)


def trace_elsewhere(seed: int) -> str:
    """Return the trace of `seed` from a process of its own, under another hash seed."""
    code = f"from btcbot.sim.campaign import run_seed; print(run_seed({seed}).trace)"
    environment = {**os.environ, "PYTHONHASHSEED": str(1 + seed % 4_000_000)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def shrink(report: Report, run: Callable[[Plan], Report] = simulate) -> Report:
    """Return the report of the smallest plan found that still fails: fewer faults, less time."""
    best, is_smaller = report, True
    while is_smaller:
        is_smaller = False
        for plan in _smaller(best.plan):
            found = run(plan)
            if found.violations:
                best, is_smaller = found, True
                break
    return best


def _smaller(plan: Plan) -> Iterator[Plan]:
    if plan.trading_s > 30:
        yield replace(plan, trading_s=round(plan.trading_s / 2))
    for fault in plan.faults:
        yield without(plan, fault)


def _mapped(run: Callable[[T], Report], what: Iterable[T], jobs: int) -> Iterator[Report]:
    """Yield what `run` makes of each, in order; who stops listening ends the rest."""
    pool = ProcessPoolExecutor(
        jobs, get_context("spawn"), initializer=die_with_parent, initargs=(os.getpid(),)
    )
    try:
        yield from pool.map(run, what, chunksize=4)
    finally:
        pool.shutdown(cancel_futures=True)
