"""Which trades are new: each counts once, in whatever order and however often it arrives."""

from typing import Final

from msgspec import Struct, field

from btcbot.domain.feed import SeenTrade

WINDOW: Final = 2_000  # Trades of a pair that are remembered by id.


class TradeWindow(Struct):
    """Owned by market_data, one a pair, changed in place.

    A trade is new unless its id is remembered, or is at or below every id that is: ids grow.
    """

    size: int = WINDOW
    ids: dict[int, None] = field(default_factory=dict)
    floor: int = 0  # At and below it a trade is too old to be told from one we had.
    last_id: int = 0

    def take(self, rows: tuple[SeenTrade, ...]) -> list[SeenTrade]:
        """Return those of `rows` that are new, as they came."""
        ids, fresh = self.ids, []
        for row in rows:
            if row.trade_id > self.floor and row.trade_id not in ids:
                ids[row.trade_id] = None
                fresh.append(row)
                self.last_id = max(self.last_id, row.trade_id)
        if len(ids) > self.size:
            self._forget()
        return fresh

    def reaches(self, backlog: tuple[SeenTrade, ...]) -> bool:
        """Return whether `backlog`, a run of the newest trades, goes back to one that we know."""
        if not self.last_id:
            return True
        return bool(backlog) and min(row.trade_id for row in backlog) <= self.last_id

    def _forget(self) -> None:
        """Keep the newest half of the window, by id."""
        ordered = sorted(self.ids)
        half = len(ordered) - self.size // 2
        self.floor = max(self.floor, ordered[half - 1])
        self.ids = dict.fromkeys(ordered[half:])
