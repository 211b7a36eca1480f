"""What a disk that fills up means for trading: stop before nothing can be written any more."""

from btcbot.domain.messages import DiskSeen
from btcbot.domain.words import TradingState
from btcbot.orders.alarms import alarm
from btcbot.orders.turn import Turn

DISK = "disk"
WAL_MAX = 64 << 20


def take_disk(turn: Turn, message: DiskSeen) -> None:
    """Pause when the disk is full; say once that the log grows or that keeping it failed.

    The first holds for as long as it is so: what is left is for cancels and facts.
    """
    turn.desk.is_disk_full = not message.is_reserved
    if turn.desk.is_disk_full:
        detail = "full: the reserve was given up so that cancels can be journaled; make room"
        alarm(turn, TradingState.PAUSED, DISK, detail)
    if message.wal > WAL_MAX:
        detail = f"over {WAL_MAX >> 20} MiB: a reader keeps it from being emptied"
        alarm(turn, TradingState.LIVE, "write-ahead log", detail)
    if message.trouble:
        alarm(turn, TradingState.LIVE, "checkpoint or backup", message.trouble[:300])
