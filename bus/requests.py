"""Both ends of a request: asking until answered, and remembering who asked.

The asker repeats with back-off, also after the deadline: expiry limits acceptance, never asking.
The receiver's core answers by request id; whoever asked last under that id gets the answer.
"""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from bus.envelope import Envelope

FIRST_REPEAT_NS = 100_000_000
LAST_REPEAT_NS = 5_000_000_000
ASKERS_MAX = 10_000


def as_heard(envelope: Envelope[Any], now_ns: int) -> Envelope[Any]:
    """Return a request as it is journaled: past its deadline, stamped with when it was heard.

    So `is_late` says the same in a replay. A repeat is the same frame as the first asking: its
    deadline counts from then.
    """
    is_late = 0 < envelope.deadline_ns <= now_ns
    return replace(envelope, sent_ns=now_ns) if is_late else envelope


class Outstanding(Struct):
    """A request without an answer; times are monotonic."""

    to: str
    frame: bytes
    deadline_ns: int
    repeat_ns: int
    delay_ns: int = FIRST_REPEAT_NS
    is_late: bool = False


class Asker:
    """The requests an actor waits on, by id."""

    def __init__(self) -> None:
        self._open: dict[str, Outstanding] = {}

    def __contains__(self, request_id: str) -> bool:
        return request_id in self._open

    def ask(self, request_id: str, request: Outstanding) -> None:
        self._open[request_id] = request

    def answered(self, request_id: str) -> bool:
        """Forget the request; return whether anybody was waiting for this answer."""
        return self._open.pop(request_id, None) is not None

    @property
    def next_ns(self) -> int | None:
        """When something is to be repeated or expires."""
        return min(
            (
                r.repeat_ns if r.is_late else min(r.repeat_ns, r.deadline_ns)
                for r in self._open.values()
            ),
            default=None,
        )

    def repeats(self, now_ns: int) -> Iterator[Outstanding]:
        """Yield each request that is due again; the pause between repeats doubles up to 5 s."""
        for request in self._open.values():
            if request.repeat_ns <= now_ns:
                request.delay_ns = min(2 * request.delay_ns, LAST_REPEAT_NS)
                request.repeat_ns = now_ns + request.delay_ns
                yield request

    def expire(self, now_ns: int) -> list[tuple[str, str]]:
        """Return (request id, receiver) of each request that became late; once per request."""
        late = []
        for request_id, request in self._open.items():
            if not request.is_late and request.deadline_ns <= now_ns:
                request.is_late = True
                late.append((request_id, request.to))
        return late


class Askers:
    """Who asked what last: the addresses that answers go to. The oldest are forgotten first."""

    def __init__(self) -> None:
        self._addresses: dict[str, bytes] = {}

    def asked(self, request_id: str, address: bytes) -> None:
        self._addresses.pop(request_id, None)
        self._addresses[request_id] = address
        if len(self._addresses) > ASKERS_MAX:
            del self._addresses[next(iter(self._addresses))]

    def take(self, request_id: str) -> bytes | None:
        """Return and forget the address of the last asker; None when nobody is asking."""
        return self._addresses.pop(request_id, None)
