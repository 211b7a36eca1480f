"""One actor in a process of its own: `python -m tests.bus.peer ROLE[_on_a_loop] FOLDER`.

`mast` says a reading each 20 ms, answers and breaks off when told to; `ear` prints what it hears.
`mast_with_a_log` has an endless log of facts besides, and a `fan` reads it; a `fan_that_is_slow`
always has a page before it.
"""

import os
import sys
import time
from pathlib import Path

from msgspec import Struct

from bus.actor import (
    Actor,
    Answer,
    Ask,
    Deliver,
    Hears,
    Late,
    PeerBack,
    PeerLost,
    Publish,
    RequestExpired,
    Started,
    Step,
    Wake,
    Woken,
)
from bus.runtime import PeersView, Place, run, run_on_loop, serve
from tests.bus.station import CODEC, Calibrate, Calibrated, Reading, Storm

GAP_NS = 20_000_000


def mast(state: int, message: Struct, now_ns: int) -> Step[int]:
    match message:
        case Started() | Woken():
            said = Publish("air.roof", Reading(place="roof", degrees=state))
            return Step(state + 1, (said, Wake("say", now_ns + GAP_NS)))
        case Calibrate(name=name):
            return Step(state, (Answer(name, Calibrated(name=f"{name} by {os.getpid()}")),))
        case Late(request=Calibrate(name=name)):
            return Step(state, (Answer(name, Calibrated(name=f"{name} late")),))
    return Step(state)


def ear(state: int, message: Struct, now_ns: int) -> Step[int]:
    match message:
        case Reading(degrees=degrees) if degrees % 10 == 0:
            sys.stdout.write(f"reading {degrees}\n")
        case PeerLost() | RequestExpired() | PeerBack() | Calibrated():
            sys.stdout.write(f"{message}\n")
    sys.stdout.flush()
    if isinstance(message, Started | Woken):
        name = f"id-{state}"
        return Step(
            state + 1, (Ask("mast", Calibrate(name=name), name), Wake("ask", now_ns + 10**9))
        )
    return Step(state)


def slow_fan(state: int, message: Struct, now_ns: int) -> Step[int]:
    time.sleep(0.002)
    return fan(state, message, now_ns)


def fan(state: int, message: Struct, _now_ns: int) -> Step[int]:
    if isinstance(message, Storm) and message.number % 100 == 0:
        sys.stdout.write(f"storm {message.number}\n")
        sys.stdout.flush()
    return Step(state)


def long_log(after: int, _tags: tuple[str, ...], _most: int) -> tuple[list[tuple[int, Storm]], int]:
    """Return the next ten facts; it takes as long as a page of five hundred does from a disk."""
    time.sleep(0.01)
    return [(n, Storm(number=n)) for n in range(after + 1, after + 11)], after + 10


def make(role: str) -> Actor[int]:
    if role.startswith("mast_with_a_log"):
        return Actor(
            name="mast", state=0, handle=mast, receives=(Calibrate,),
            read_facts=long_log, facts_head=lambda _state: 10**9,
        )  # fmt: skip
    if role.startswith("fan"):
        facts = (Hears(source="mast", topic="fact", conflate=False),)
        # The name is short: it is a part of the sockets' paths.
        name, handle = ("fan", slow_fan) if "slow" in role else (role, fan)
        return Actor(
            name=name, state=0, handle=handle, hears=facts, facts=(Storm,), needs=("mast",)
        )
    if role.startswith("mast"):
        return Actor(name="mast", state=0, handle=mast, receives=(Calibrate,))
    hears = (Hears(source="mast", topic="air.", conflate=False),)
    return Actor(name="ear", state=0, handle=ear, hears=hears, asks=("mast",), needs=("mast",))


def place(folder: Path) -> Place:
    return Place(
        run=folder / "run", journal=folder / "journal", quarantine=folder / "q", codec=CODEC
    )


def main(role: str, folder: Path) -> None:
    def made(_deliver: Deliver, _peers: PeersView) -> Actor[int]:
        return make(role)

    if role.endswith("_on_a_loop"):
        run_on_loop(serve(made, place(folder)))
    else:
        run(made, place(folder))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
