"""What goes wrong in one simulation: a set of options, drawn from its seed and printed with it.

Swarm: each kind of fault is on in about half of the seeds, so that rare pairs of faults meet
without every run being drowned in all of them.
"""

import random
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import asdict, replace

MINUTE_S: Final = 60.0


class Plan(Struct, frozen=True, kw_only=True):
    """Rates are probabilities per event; counts are for the whole run; times are virtual seconds.

    Every field but the first three is a fault: 0 means that it does not happen.
    """

    seed: int
    trading_s: float = 180.0
    pairs: int = 1
    # Processes.
    execution_kills: int = 0
    other_kills: int = 0
    pauses: int = 0  # SIGSTOP of any actor, 0.1 to 30 s.
    power_cuts: int = 0
    kills_in_recovery: float = 0.0
    kills_between_effects: float = 0.0  # Of execution, after a commit and before what follows.
    disk_failures: int = 0
    disk_full: int = 0
    # The bus.
    bus_drop: float = 0.0
    bus_repeat: float = 0.0
    bus_delay: float = 0.0
    # Submits.
    submit_lost: float = 0.0  # It never arrives; the socket stays silent.
    submit_reset: float = 0.0  # Before it is accepted.
    submit_slow: float = 0.0  # It arrives late, up to a third of the absence bound.
    submit_silent: float = 0.0  # Accepted; no answer, ever.
    submit_late: float = 0.0  # Accepted; the answer comes after 4 to 100 s.
    submit_garbled: float = 0.0  # Accepted; 5xx, HTML, an empty 200, broken JSON.
    submit_stray: float = 0.0  # Accepted; the answer names another order.
    submit_cut: float = 0.0  # Accepted; the connection breaks.
    # Reads and cancels.
    read_fails: float = 0.0
    read_slow: float = 0.0
    read_unauthorised: int = 0  # Bursts of 401.
    maintenance: int = 0  # Windows of 503.
    cancel_lost: float = 0.0
    cancel_slow_s: float = 0.0
    fills_lag_s: float = 0.0
    lists_lag_s: float = 0.0
    # Sockets.
    frames_lost: float = 0.0
    frames_repeated: float = 0.0
    socket_cuts: int = 0
    socket_silence: int = 0
    # Time, market, people.
    clock_steps: int = 0  # The exchange's clock against ours.
    jumps: int = 0
    commands: int = 0  # pause, resume, kill, cancel.
    strangers: int = 0  # Orders that a person places on the account by hand.
    beyond_bounds: bool = False  # Accepts later than assumed: must end in HALTED, not in doubles.

    @property
    def faults(self) -> dict[str, float]:
        """Return the faults that are on."""
        given = {"seed", "trading_s", "pairs"}
        return {name: value for name, value in asdict(self).items() if value and name not in given}


# Name, whether a count, and the largest value drawn.
_DRAWN: Final[tuple[tuple[str, bool, float], ...]] = (
    ("execution_kills", True, 4),
    ("other_kills", True, 4),
    ("pauses", True, 3),
    ("power_cuts", True, 2),
    ("kills_in_recovery", False, 0.5),
    ("kills_between_effects", False, 0.02),
    ("disk_failures", True, 2),
    ("disk_full", True, 1),
    ("bus_drop", False, 0.3),
    ("bus_repeat", False, 0.1),
    ("bus_delay", False, 0.1),
    ("submit_lost", False, 0.2),
    ("submit_reset", False, 0.2),
    ("submit_slow", False, 0.2),
    ("submit_silent", False, 0.2),
    ("submit_late", False, 0.2),
    ("submit_garbled", False, 0.2),
    ("submit_stray", False, 0.05),
    ("submit_cut", False, 0.2),
    ("read_fails", False, 0.1),
    ("read_slow", False, 0.1),
    ("read_unauthorised", True, 2),
    ("maintenance", True, 2),
    ("cancel_lost", False, 0.2),
    ("cancel_slow_s", False, 5.0),
    ("fills_lag_s", False, 10.0),
    ("lists_lag_s", False, 10.0),
    ("frames_lost", False, 0.1),
    ("frames_repeated", False, 0.1),
    ("socket_cuts", True, 3),
    ("socket_silence", True, 2),
    ("clock_steps", True, 2),
    ("jumps", True, 3),
    ("commands", True, 5),
    ("strangers", True, 2),
)


def draw(seed: int) -> Plan:
    """Return the plan of `seed`: the same for the same seed, on every machine."""
    chance = random.Random(f"plan|{seed}")
    found: dict[str, float | int | bool] = {}
    for name, is_count, most in _DRAWN:
        is_on, size = chance.random() < 0.5, chance.random()
        if is_on:
            found[name] = 1 + int(size * most) if is_count else round(size * most, 4)
    found["beyond_bounds"] = chance.random() < 0.02
    found["pairs"] = 2 if chance.random() < 0.2 else 1
    found["trading_s"] = round(60 + 240 * chance.random() ** 2)
    return msgspec.convert({"seed": seed, **found}, Plan)


def without(plan: Plan, fault: str) -> Plan:
    """Return `plan` with one fault less."""
    return replace(plan, **{fault: type(getattr(plan, fault))()})
