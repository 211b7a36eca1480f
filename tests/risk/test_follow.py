"""What the gate follows of each order: whether it is in doubt, and how long the exchange took."""

from msgspec.structs import replace

from btcbot.risk import follow
from btcbot.risk.degrade import LATENCY_NS
from btcbot.risk.limits import RiskLimits
from btcbot.risk.picture import Picture
from tests import builders as make
from tests.builders import FEES, START_NS

WISH = make.intent(1)


def picture() -> Picture:
    return Picture(limits=RiskLimits(), fees=dict(FEES))


def test_an_acknowledgement_that_took_two_seconds_is_slow_and_a_quicker_one_is_not() -> None:
    for took_ns, slow_ns in ((LATENCY_NS - 1, []), (LATENCY_NS, [START_NS])):
        here = picture()
        follow.submitting(here, make.submitting(WISH, START_NS - took_ns))

        follow.doubt(here, make.acked(WISH))

        assert here.seen.slow_ns == slow_ns


def test_of_an_order_that_was_not_heard_to_be_sent_nobody_knows_how_long_it_took() -> None:
    here = picture()
    follow.approve(here, WISH)

    follow.doubt(here, make.acked(WISH))

    assert here.seen.slow_ns == []


def test_an_order_is_in_doubt_until_it_is_acknowledged_and_that_is_not_slow() -> None:
    here = picture()
    follow.submitting(here, make.submitting(WISH, START_NS - LATENCY_NS))

    follow.doubt(here, make.unknown(WISH))
    assert here.exposure.orders[WISH.intent_id].is_unknown
    assert (here.seen.unknown_ns, here.seen.slow_ns) == ([START_NS], [])

    follow.doubt(here, replace(make.acked(WISH), at_ns=START_NS - 1))
    assert not here.exposure.orders[WISH.intent_id].is_unknown
    assert here.seen.slow_ns == []
