"""One operating-system process per module: State, handle, perform, main."""

from btcbot.domain.agent import AGENT
from btcbot.domain.checks import check
from btcbot.domain.control import CONTROL
from btcbot.domain.decisions import DECISIONS
from btcbot.domain.facts import FACTS
from btcbot.domain.feed import FEED
from btcbot.domain.messages import REQUESTS, STREAMS
from btcbot.domain.venue import VENUE
from bus.envelope import Codec

CODEC = Codec(
    arrays=STREAMS,
    maps=(*REQUESTS, *DECISIONS, *FACTS, *FEED, *VENUE, *CONTROL, *AGENT),
    check=check,
)
"""Every message that actors exchange or hear from outside."""
