"""Which CPUs an actor keeps to: half of the path of a tick on each half of them.

A tick wakes four processes in turn. Where the scheduler spreads them at will, each wake-up finds
the caches of a core that another actor just used: on two cores that cost a third of the time from
tick to order. The other actors run wherever there is room.
"""

import os
from typing import Final

FIRST_HALF: Final = ("market_data", "strategy")
SECOND_HALF: Final = ("risk_gate", "execution")


def keep_to_half(name: str) -> None:
    """Bind this process, and the threads it will start, to the actor's half; alone it may use all.

    Of the CPUs this process may use: whoever restricts the fleet (taskset, cgroups) is obeyed.
    """
    cpus = sorted(os.sched_getaffinity(0))
    half = len(cpus) // 2
    if half and name in FIRST_HALF:
        os.sched_setaffinity(0, cpus[:half])
    elif half and name in SECOND_HALF:
        os.sched_setaffinity(0, cpus[half:])
