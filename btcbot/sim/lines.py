"""Kill execution at every line of the code that orders, books and recovers.

One scenario without other faults runs once to see which lines it reaches; then it runs again for
each of them, killed there: at one of the times when the line is reached, and, the second time
round, once more within the recovery that follows.
"""

import random
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any, Final

from msgspec import Struct

import btcbot
from btcbot.sim.plan import Plan
from btcbot.sim.run import Report, simulate
from btcbot.sim.world import Killed, Tracer, World

ROOT: Final = Path(btcbot.__file__).parent.parent
WATCHED: Final = (
    "actors/execution.py", "btcbot/orders/", "btcbot/ledger/", "btcbot/store/writer.py",
    "btcbot/store/database.py", "btcbot/store/reader.py", "btcbot/btcturk/venue.py",
    "btcbot/btcturk/submit.py",
)  # fmt: skip
SCENARIO: Final = Plan(
    seed=11, trading_s=75, cancel_slow_s=1.5, fills_lag_s=2.0, submit_slow=0.1, submit_silent=0.25,
    submit_lost=0.1, strangers=1, commands=3,
)  # fmt: skip
Line = tuple[str, int]


class Cut(Struct, frozen=True):
    """Where to kill: the line, at which time it is reached, and how far into the recovery after."""

    file: str
    line: int
    time: int = 1
    recovery: int = 0  # The so many-th line of the next recovery too; 0: not again.


def reached() -> Counter[Line]:
    """Return how often the scenario reaches each watched line."""
    seen: Counter[Line] = Counter()

    def arm(world: World) -> None:
        world.tracer = _tracer(lambda file, line: seen.update(((file, line),)))

    report = simulate(SCENARIO, arm)
    assert not report.violations, f"the scenario itself fails: {report.violations}"
    return seen


def cuts(seen: Counter[Line], seed: int, *, again: bool) -> list[Cut]:
    """Return one cut per line, at a time drawn for it; with `again`, in the recovery too."""
    draw = random.Random(f"lines|{seed}")
    return [
        Cut(file, line, draw.randint(1, min(seen[file, line], 40)) if seed else 1,
            draw.randint(1, 400) if again else 0)
        for file, line in sorted(seen)
    ]  # fmt: skip


def kill_at(cut: Cut) -> Report:
    """Run the scenario with execution killed at `cut`."""

    def arm(world: World) -> None:
        world.tracer = _Killer(world, cut).trace

    return simulate(SCENARIO, arm)


class _Killer:
    """Counts lines down to the one where the process ends."""

    def __init__(self, world: World, cut: Cut) -> None:
        self._world, self._cut = world, cut
        self._left, self._recovery = cut.time, 0
        self.trace: Tracer = _tracer(self._line)

    def _line(self, file: str, line: int) -> None:
        if self._recovery:
            self._recovery -= 1
            if not self._recovery:
                self._end("inside recovery")
        elif self._left and (file, line) == (self._cut.file, self._cut.line):
            self._left -= 1
            if not self._left:
                self._recovery = self._cut.recovery
                self._end(f"at {file}:{line}")

    def _end(self, where: str) -> None:
        self._world.watch.sometimes["killed at a line"] += 1
        self._world.go_dead("execution")
        raise Killed(where)


def _tracer(on_line: Any) -> Tracer:  # noqa: ANN401 - a callable of file and line
    """Return a trace function that reports every watched line."""
    names: dict[str, str] = {}

    def watched(path: str) -> str:
        name = names.get(path)
        if name is None:
            inside = path.removeprefix(f"{ROOT}/")
            name = names[path] = inside if inside.startswith(WATCHED) else ""
        return name

    def local(frame: FrameType, event: str, _argument: Any) -> Any:  # noqa: ANN401
        if event == "line":
            on_line(watched(frame.f_code.co_filename), frame.f_lineno)
        return local

    def entered(frame: FrameType, _event: str, _argument: Any) -> Any:  # noqa: ANN401
        return local if watched(frame.f_code.co_filename) else None

    return entered


def chosen(all_cuts: list[Cut], count: int, seed: int) -> list[Cut]:
    """Return `count` of the cuts, drawn by `seed`; 0: all of them."""
    if not count or count >= len(all_cuts):
        return all_cuts
    return sorted(random.Random(f"chosen|{seed}").sample(all_cuts, count), key=_place)


def _place(cut: Cut) -> Line:
    return cut.file, cut.line
