"""Snapshots and changes of a book, joined: what may be applied, in which order.

Changes must follow each other without a gap, from a snapshot on. One that is older than it is
skipped; one that comes before it waits, since a snapshot may be older than its arrival.
"""

from typing import Final

from btcbot.catalog.rows import Depth

EARLY_MAX: Final = 10_000  # A quarter of an hour of changes that wait for a snapshot.


class ChangesMissing(ValueError):
    """A gap between changes: the book is void until the next snapshot."""


class Joiner:
    """One pair's; `last` is the number of the newest change in the book, 0: there is no book."""

    def __init__(self) -> None:
        self.last = 0
        self._early: list[Depth] = []

    def take(self, row: Depth) -> tuple[Depth, ...]:
        """Return what is to be applied now; nothing, where it is of no use or must wait.

        Raises ChangesMissing, once a gap; ValueError when no snapshot comes.
        """
        if row.is_snapshot:
            self.last = row.last
            early, self._early = self._early, []
            return (row, *(one for held in early for one in self._change(held)))
        if self.last:
            return self._change(row)
        if len(self._early) >= EARLY_MAX:
            raise ValueError(f"{EARLY_MAX} changes of a book and no snapshot to begin from")
        self._early.append(row)
        return ()

    def _change(self, row: Depth) -> tuple[Depth, ...]:
        last = self.last
        if row.last <= last:
            return ()
        if last + 1 < row.first:
            self.last, self._early = 0, [row]
            raise ChangesMissing(f"depth updates {last + 1} to {row.first - 1} are missing")
        self.last = row.last
        return (row,)
