"""Each half of a tick's path keeps to its half of the CPUs this process may use."""

import os
from multiprocessing import get_context

import pytest

from btcbot.cores import keep_to_half


def cpus_after(name: str, allowed: tuple[int, ...]) -> list[int]:
    """Return where a process that may use `allowed` ends up as the actor `name`."""
    with get_context("fork").Pool(1) as pool:
        return pool.apply(_kept, (name, allowed))


def _kept(name: str, allowed: tuple[int, ...]) -> list[int]:
    os.sched_setaffinity(0, allowed)
    keep_to_half(name)
    return sorted(os.sched_getaffinity(0))


ALL = tuple(sorted(os.sched_getaffinity(0)))


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("market_data", ALL[: len(ALL) // 2] or ALL),
        ("strategy", ALL[: len(ALL) // 2] or ALL),
        ("risk_gate", ALL[len(ALL) // 2 :]),
        ("execution", ALL[len(ALL) // 2 :]),
        ("dashboard", ALL),
    ],
)
def test_the_path_of_a_tick_is_split_between_the_cpus_and_the_rest_runs_anywhere(
    name: str, kept: tuple[int, ...]
) -> None:
    assert cpus_after(name, ALL) == list(kept)


def test_who_is_given_one_cpu_keeps_it() -> None:
    assert cpus_after("execution", ALL[:1]) == [ALL[0]]
