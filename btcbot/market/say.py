"""What the followers of a market ask for: to say, to look again, to complain, to join again."""

from typing import Final, TypeAlias

from msgspec import Struct

from btcbot.domain.ids import Pair
from btcbot.domain.messages import Message

SECOND_NS: Final = 1_000_000_000
# What a join brings comes at once: not here by then, it was lost, though the join was answered.
JOIN_WAIT_NS: Final = 1_500_000_000
REJOIN_GAP_NS: Final = 500_000_000
REJOIN_LAST_NS: Final = 30 * SECOND_NS


class Say(Struct, frozen=True):
    """Publish `message` on the stream `topic`."""

    topic: str
    message: Message


class Again(Struct, frozen=True):
    """Look at `pair` again at `at_ns`; a later wish replaces an earlier one."""

    pair: Pair
    at_ns: int


class Complain(Struct, frozen=True):
    """Tell the people who read logs."""

    event: str
    detail: str


Said: TypeAlias = tuple[Struct, ...]


class Rejoins(Struct):
    """When a channel may be joined again: once at a time, and more rarely the longer it fails."""

    wait_ns: int = JOIN_WAIT_NS
    tries: int = 0
    due_ns: int = 0  # Not before.

    def asked(self, now_ns: int) -> None:
        """Note that a join goes out just now."""
        self.due_ns = now_ns + min(self.wait_ns << min(self.tries, 10), REJOIN_LAST_NS)
        self.tries += 1

    def answered(self, now_ns: int) -> None:
        """Note that what a join brings has come: the next may follow soon."""
        self.tries, self.due_ns = 0, min(self.due_ns, now_ns + REJOIN_GAP_NS)
