"""A disk that fills up pauses the bot for as long as it is full; other trouble is said once."""

from btcbot.domain.facts import Discrepancy, TradingStateChanged
from btcbot.domain.messages import DiskSeen
from btcbot.domain.words import Rule, TradingState
from btcbot.orders.disk import WAL_MAX
from tests.orders.desks import intent, ready


def seen(*, is_reserved: bool = True, wal: int = 0, trouble: str = "") -> DiskSeen:
    return DiskSeen(is_reserved=is_reserved, free=1 << 30, wal=wal, trouble=trouble)


def test_a_full_disk_pauses_and_only_cancels_go_on() -> None:
    floor, resting = ready(), intent()
    floor.place(resting, 7)

    floor.hear(seen(is_reserved=False))

    assert floor.desk.trading is TradingState.PAUSED
    assert floor.approve(intent(2)).rule is Rule.TRADING_STATE
    assert floor.command(TradingState.KILLED, "kill").refused == ""
    assert floor.order(resting).cancels_sent == 1


def test_a_full_disk_holds_until_there_is_room() -> None:
    floor = ready()
    floor.hear(seen(is_reserved=False))

    assert "disk" in floor.command(TradingState.LIVE, "early").refused
    floor.hear(seen())
    assert floor.command(TradingState.LIVE, "later").refused == ""
    floor.hear(seen(is_reserved=False))
    assert floor.desk.trading is TradingState.PAUSED


def test_a_log_that_grows_and_a_failed_copy_are_said_once_and_stop_nothing() -> None:
    floor = ready()

    for _ in range(3):
        floor.hear(seen(wal=WAL_MAX + 1, trouble="OSError: no such folder"))

    assert [fact.subject for fact in floor.said(Discrepancy)] == [
        "write-ahead log", "checkpoint or backup",
    ]  # fmt: skip
    assert not floor.said(TradingStateChanged)
    assert floor.desk.trading is TradingState.LIVE


def test_a_sound_disk_says_nothing() -> None:
    floor = ready()

    floor.hear(seen(wal=WAL_MAX))

    assert not floor.facts
