"""Facts of a run that nobody shares its database with: many are written at once."""

from collections.abc import Sequence

from btcbot.domain.facts import Fact
from btcbot.store.reader import Reader
from btcbot.store.writer import Writer


class Batch:
    """Keeps facts until there are `at_once` of them, or somebody wants to read.

    For a database in memory alone, which a crash takes with it whatever was committed: its writer
    is half as dear for facts in a row as for one now and then. With 1, each commit is its own.
    """

    def __init__(self, writer: Writer, at_once: int) -> None:
        self._writer, self._at_once = writer, at_once
        self._waiting: list[Fact] = []

    def commit(self, facts: Sequence[Fact], first: int) -> None:
        """Take `facts` as events `first`, `first` + 1, …; see `Writer.commit`."""
        head = self._writer.head + len(self._waiting)
        assert first == head + 1, f"facts from {first}, but the head is {head}"
        self._waiting += facts
        if len(self._waiting) >= self._at_once:
            self.flush()

    def flush(self) -> None:
        """Write what waits, in one transaction."""
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._writer.commit(waiting, self._writer.head + 1)

    def begin_epoch(self, epoch: int) -> None:
        """Write everything from here on as said in `epoch`."""
        self.flush()
        self._writer.epoch = epoch

    @property
    def reader(self) -> Reader:
        """Queries over all that was taken so far."""
        self.flush()
        return self._writer.reader

    def facts_after(
        self, after: int, tags: tuple[str, ...], limit: int
    ) -> tuple[list[tuple[int, Fact]], int]:
        """Return a page of facts; see `Reader.facts_after`."""
        return self.reader.facts_after(after, tags, limit)

    def close(self) -> None:
        self.flush()
        self._writer.close()
