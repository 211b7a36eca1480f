"""Pages of the fact log for those who catch up: one a turn, so that no order waits behind many.

Who begins anew reads all of the log, and asks for the next page as soon as it has one. Answered as
they come, a few such readers keep the writer from everything else for as long as they read.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

from msgspec import Struct

from bus.actor import Actor, FactsAfter, FactsPage
from bus.streams import PAGE, page_of

S = TypeVar("S")


class Pages(Generic[S]):
    """Of each who asks, the newest question; whoever waits longest is next."""

    def __init__(self, actor: Actor[S], encode: Callable[[Struct], bytes]) -> None:
        self._actor, self._encode = actor, encode
        self._wanted: dict[bytes, tuple[str, FactsAfter]] = {}

    def __bool__(self) -> bool:
        """Whether anybody waits."""
        return bool(self._wanted)

    def want(self, address: bytes, request_id: str, request: FactsAfter) -> None:
        """Take a question; a repeated one keeps its turn."""
        self._wanted[address] = request_id, request

    def next(self, state: S) -> tuple[bytes, str, FactsPage]:
        """Return (address, request id, page) of the next answer. Somebody must wait."""
        actor = self._actor
        assert actor.read_facts is not None and actor.facts_head is not None  # noqa: PT018
        address = next(iter(self._wanted))
        request_id, request = self._wanted.pop(address)
        rows, through = actor.read_facts(request.after, request.tags, PAGE)
        page = page_of(rows, through, actor.facts_head(state), self._encode)
        return address, request_id, page
