"""A simulated account on disk: one JSON line per change, durable before any answer says so."""

import contextlib
import os
from pathlib import Path

import msgspec
from msgspec import Struct, field

from btcbot.domain.instruments import Instrument
from btcbot.simulation.account import ORDERS_MAX, TRADES_MAX, Balance, Order, Trade
from btcbot.simulation.transfers import Transfer


class StateError(ValueError):
    """A state file that cannot be gone on with; says where and why."""


class Saved(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """What changed since the line before; balances, prices and rules are all of them."""

    orders: list[Order] = field(default_factory=list)
    trades: list[Trade] = field(default_factory=list)
    balances: dict[str, Balance] = field(default_factory=dict)
    prices: dict[str, str] = field(default_factory=dict)
    transfers: list[Transfer] = field(default_factory=list)
    rules: list[Instrument] = field(default_factory=list)


class StateFile:
    """Appends to `account.jsonl` in a folder; one process at a time has it (the port sees to it).

    Each line is on the disk when `append` returns: what an exchange said outlives a power cut, else
    books that are durable would know of fills that it does not.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = folder / "account.jsonl"
        self._file = -1

    def load(self) -> Saved:
        """Return everything remembered, as one; opens the file for `append`. Raises StateError.

        What a kill left of a last line was never acknowledged: it is dropped. The file is written
        anew as one line, so that it does not grow with every life.
        """
        orders: dict[int, Order] = {}
        all_ = Saved()
        lines = self._path.read_bytes().split(b"\n")[:-1] if self._path.exists() else []
        for number, line in enumerate(lines, 1):
            try:
                saved = msgspec.json.decode(line, type=Saved)
            except (msgspec.MsgspecError, ValueError) as error:
                raise StateError(
                    f"{self._path}:{number}: {error}; move it away to begin anew"
                ) from None
            orders |= {order.id: order for order in saved.orders}
            all_.trades += saved.trades
            all_.balances = saved.balances or all_.balances
            all_.prices |= saved.prices
            all_.transfers += saved.transfers
            all_.rules = saved.rules or all_.rules
        all_.orders = [order for _, order in sorted(orders.items())]
        ended = [order.id for order in all_.orders if not order.is_open]
        forgotten = set(ended[:-ORDERS_MAX])
        all_.orders = [order for order in all_.orders if order.id not in forgotten]
        all_.trades = all_.trades[-TRADES_MAX:]
        self._begin(all_)
        return all_

    def append(self, saved: Saved) -> None:
        """Write one line, durably, or nothing. Raises OSError when the disk is full."""
        rest = msgspec.json.encode(saved) + b"\n"
        size = os.fstat(self._file).st_size
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
            os.fdatasync(self._file)
        except OSError:
            os.ftruncate(self._file, size)  # The next line must not begin in the middle of this.
            raise

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _begin(self, saved: Saved) -> None:
        fresh = self._path.with_suffix(".new")
        with contextlib.suppress(FileNotFoundError):
            fresh.unlink()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._file = os.open(fresh, flags, 0o600)
        self.append(saved)
        fresh.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)  # Its name too.
        finally:
            os.close(folder)
