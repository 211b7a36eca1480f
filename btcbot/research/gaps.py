"""Where a run knows nothing of the market: minutes without a single sample of it. Pure."""

from collections.abc import Iterator
from itertools import pairwise

from btcbot.research.lines import Bar, Gap, Run
from btcbot.simulation.minutes import MINUTE_NS


def silences(run: Run) -> list[Gap]:
    """Return every stretch of a whole minute or more in which a pair said nothing, in order."""
    by_pair: dict[str, list[Bar]] = {}
    for bar in run.bars:
        by_pair.setdefault(bar.pair, []).append(bar)
    found = [gap for pair, bars in by_pair.items() for gap in _between(pair, bars)]
    return sorted(found, key=lambda gap: gap.from_ns)


def _between(pair: str, bars: list[Bar]) -> Iterator[Gap]:
    for before, after in pairwise(bars):
        silent_ns = before.open_ns + MINUTE_NS
        if after.open_ns > silent_ns:
            yield Gap(what=f"{pair} silent", from_ns=silent_ns, until_ns=after.open_ns)
