"""Whether the private socket tells what it must: silence while our own orders change is a sign.

It may stay open, acknowledge the login, answer pings, and say nothing for hours (reported of the
real one). Nothing waits for it: polling is the authority. Pure; time is the caller's, in ns.
"""

from typing import Final

from btcbot.domain.ids import OrderId
from btcbot.domain.words import SocketStatus

PATIENCE_NS: Final = 15_000_000_000
EXPECTED_MAX: Final = 1_000


class Watch:
    """What we did, and what was heard of it."""

    def __init__(self) -> None:
        self._expected: dict[OrderId, int] = {}  # Since when a frame about this order is due.
        self._heard: dict[OrderId, int] = {}  # When a frame about it came last.
        self._silent = 0  # How many orders changed unheard, in a row.
        self._reason = "not connected yet"
        self._is_up = False

    def up(self) -> None:
        """Note a login that was accepted."""
        self._is_up, self._reason = True, ""

    def down(self, reason: str) -> None:
        """Note that the socket has ended, or that its login was refused."""
        self._is_up, self._reason, self._silent = False, reason, 0
        self._expected.clear()  # What happens while it is down is not told again.

    def changed(self, order_id: OrderId, since_ns: int) -> None:
        """Note that we changed an order of ours, having asked for it at `since_ns`.

        A frame about it is due, unless it was faster than the answer.
        """
        was_heard = self._heard.get(order_id, -1) >= since_ns
        if self._is_up and not was_heard and len(self._expected) < EXPECTED_MAX:
            self._expected.setdefault(order_id, since_ns)

    def heard(self, order_id: OrderId | None, now_ns: int) -> None:
        """Note a private frame; one about any order of ours shows that the channel lives."""
        if order_id is not None:
            self._expected.pop(order_id, None)
            self._silent = 0
            self._heard[order_id] = now_ns
            if len(self._heard) > EXPECTED_MAX:
                del self._heard[next(iter(self._heard))]

    def look(self, now_ns: int) -> str:
        """Return what to tell people, once for each order that changed unheard; else empty."""
        late = [name for name, since in self._expected.items() if now_ns - since > PATIENCE_NS]
        for name in late:
            del self._expected[name]
        if not late:
            return ""
        self._silent += len(late)
        return (
            f"the private socket said nothing of order {late[0]} in {PATIENCE_NS // 10**9} s"
            f" ({self._silent} in a row); orders are followed by polling alone"
        )

    @property
    def status(self) -> tuple[SocketStatus, str]:
        """Return how it is, and why it is not UP."""
        if not self._is_up:
            return SocketStatus.DOWN, self._reason
        if self._silent:
            silent = f"silent while {self._silent} of our orders changed; polling goes on"
            return SocketStatus.SUSPECT, silent
        return SocketStatus.UP, ""
