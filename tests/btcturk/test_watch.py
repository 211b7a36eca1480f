"""A private socket that keeps silent while our own orders change is suspect; nothing waits."""

from btcbot.btcturk.watch import PATIENCE_NS, Watch
from btcbot.domain.ids import OrderId
from btcbot.domain.words import SocketStatus

ONE, TWO = OrderId(26_900_000_001), OrderId(26_900_000_002)


def connected() -> Watch:
    watch = Watch()
    watch.up()
    return watch


def test_it_is_down_until_a_login_is_accepted() -> None:
    watch = Watch()
    assert watch.status == (SocketStatus.DOWN, "not connected yet")

    watch.up()
    assert watch.status == (SocketStatus.UP, "")

    watch.down("closed")
    assert watch.status == (SocketStatus.DOWN, "closed")


def test_an_order_that_changed_unheard_makes_it_suspect_and_is_told_once() -> None:
    watch = connected()
    watch.changed(ONE, 100)

    assert watch.look(100 + PATIENCE_NS) == ""
    told = watch.look(101 + PATIENCE_NS)
    assert f"said nothing of order {ONE} in 15 s" in told
    assert watch.status[0] is SocketStatus.SUSPECT
    assert watch.look(102 + PATIENCE_NS) == ""


def test_any_later_frame_of_an_order_clears_the_suspicion() -> None:
    watch = connected()
    watch.changed(ONE, 0)
    watch.look(2 * PATIENCE_NS)
    statuses = []
    for order_id in (None, TWO):
        watch.heard(order_id, 2 * PATIENCE_NS)
        statuses.append(watch.status[0])

    assert statuses == [SocketStatus.SUSPECT, SocketStatus.UP]


def test_a_frame_that_was_faster_than_the_answer_counts() -> None:
    watch = connected()
    watch.heard(ONE, 105)
    watch.changed(ONE, 100)

    assert watch.look(10 * PATIENCE_NS) == ""


def test_a_frame_from_before_the_request_does_not_count_for_it() -> None:
    watch = connected()
    watch.heard(ONE, 99)
    watch.changed(ONE, 100)

    assert watch.look(10 * PATIENCE_NS)


def test_what_happens_while_it_is_down_is_not_expected_of_it() -> None:
    watch = Watch()
    watch.changed(ONE, 0)
    watch.up()
    watch.changed(TWO, 5)
    watch.down("closed")
    watch.up()

    assert watch.look(10 * PATIENCE_NS) == ""
    assert watch.status[0] is SocketStatus.UP


def test_it_forgets_rather_than_grows() -> None:
    watch = connected()
    for n in range(1, 5_000):
        watch.heard(OrderId(n), n)
        watch.changed(OrderId(10_000 + n), n)

    assert len(watch._heard) <= 1_000
    assert len(watch._expected) <= 1_000
