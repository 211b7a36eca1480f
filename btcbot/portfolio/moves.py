"""Who comes and who leaves when not all may: within a number of changes, the most useful first."""

from msgspec import Struct

from btcbot.domain.ids import Pair
from btcbot.portfolio.scores import Score


class Judged(Struct, frozen=True, kw_only=True):
    """The candidates of one refresh, and the members sorted by what may become of them."""

    ranked: list[Score]  # Best first.
    best: list[Pair]  # As many as there are places.
    must_leave: list[Pair]  # Members that may not stay, whatever it costs in changes.
    unfit: list[Pair]  # Members that do not qualify now: they leave while changes are left.
    beaten: list[Pair]  # Members outside the best, worst first: each leaves only for another.


def moves(
    judged: Judged, arrivals: list[Pair], places: int, room: int
) -> tuple[list[Pair], list[Pair]]:
    """Return who comes and who leaves by choice, within `room` changes: an exchange is two.

    The unfit leave first, each for the best arrival or for none; then free places are filled; then
    the worst member gives way to the best arrival.
    """
    came: list[Pair] = []
    left: list[Pair] = []
    waiting = list(arrivals)
    for pair in judged.unfit:
        if room < 1:
            break
        left.append(pair)
        places, room = places + 1, room - 1
    while waiting and places >= 1 and room >= 1:
        came.append(waiting.pop(0))
        places, room = places - 1, room - 1
    for pair in judged.beaten:
        if not waiting or room < 2:
            break
        left.append(pair)
        came.append(waiting.pop(0))
        room -= 2
    return came, left
