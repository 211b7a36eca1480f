"""What was acknowledged survives a power cut, and the disk of the simulation would show if not."""

from tests.sim.power import FULL, NORMAL, losses

CUTS = 300


def test_no_power_cut_takes_what_was_acknowledged() -> None:
    assert losses(1, CUTS, FULL) == []


def test_without_full_syncs_the_same_cuts_take_something() -> None:
    assert len(losses(1, CUTS // 10, NORMAL)) > 3
