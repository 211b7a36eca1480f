"""Two btcbots on one account: this one stops, and does not go on while the other is seen."""

from btcbot.domain.words import TradingState
from btcbot.orders.commands import RIVAL_NS
from tests.orders.desks import Floor, listed, ready

SECOND = 1_000_000_000
OTHER = "b1-other-abcdefghijklmnopqrstuvwxyz"


def rivalled() -> Floor:
    floor = ready()
    floor.open.append(listed(90, None, client_id=OTHER))
    floor.wait(61)
    return floor


def resumed(floor: Floor, name: str) -> str:
    event = str(floor.desk.trading_seq)
    return floor.command(TradingState.LIVE, name, acknowledge=event).refused


def test_an_order_of_another_btcbot_halts_and_no_word_helps_while_it_is_seen() -> None:
    floor = rivalled()

    assert floor.desk.trading is TradingState.HALTED
    assert "another btcbot" in floor.desk.trading_reason
    assert "another btcbot traded on this account" in resumed(floor, "now")


def test_it_holds_for_a_quarter_of_an_hour_after_the_other_was_seen_last() -> None:
    floor = rivalled()
    floor.open.clear()
    floor.release()

    floor.wait(RIVAL_NS / SECOND - 120)
    assert "another btcbot" in resumed(floor, "early")
    floor.wait(121)
    assert resumed(floor, "later") == ""


def test_a_new_life_sees_the_other_again() -> None:
    floor = rivalled().restart().open_up()

    assert floor.desk.trading is TradingState.HALTED
    assert "another btcbot" in resumed(floor, "again")


def test_an_order_of_nobody_is_no_rival() -> None:
    floor = ready()
    floor.open.append(listed(91, None))
    floor.wait(61)

    assert floor.desk.trading is not TradingState.HALTED
    assert not floor.desk.rival_ns
