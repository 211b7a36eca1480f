"""What people are shown of the feeds: how old a price is, and when nobody tells them any more."""

from typing import Any

from btcbot.domain.ids import Pair
from btcbot.domain.status import FEED_SILENCE_NS, View, learn, status_of
from btcbot.domain.words import FeedStatus
from tests import builders as make
from tests.builders import BTCTRY, START_NS

SECOND_NS = 1_000_000_000


def feed_of(view: View, now_ns: int) -> dict[str, Any]:
    document = status_of(view, {}, now_ns)
    [row] = document["feeds"]
    assert isinstance(row, dict)
    return row


def heard(*pairs: Pair) -> View:
    view = View(mode="sandbox", pairs=pairs)
    for pair in pairs:
        learn(view, make.feed_state(pair=pair, confirmed_ns=START_NS, at_ns=START_NS))
    return view


def test_the_age_of_a_feed_is_that_of_its_newest_confirmed_price() -> None:
    view = heard(BTCTRY)

    learn(view, make.book_top(confirmed_ns=START_NS + 9 * SECOND_NS))

    row = feed_of(view, START_NS + 10 * SECOND_NS)
    assert (row["state"], row["age_s"]) == ("LIVE", 1.0)


def test_a_feed_of_which_neither_state_nor_price_is_told_is_stale_and_says_so() -> None:
    view = heard(BTCTRY)

    row = feed_of(view, START_NS + FEED_SILENCE_NS + 1)

    assert (row["state"], row["reason"]) == ("STALE", "market_data is silent")
    learn(view, make.feed_state(status=FeedStatus.DOWN, at_ns=START_NS, confirmed_ns=0))
    assert feed_of(view, START_NS + 60 * SECOND_NS)["state"] == "DOWN"
