"""What the exchange says may be traded: the rules of our pairs, read again and again.

A pair that is named no longer keeps its last rules and does not trade: its fills can still be
booked. Rules that could not be read for long are no rules: the pair is not to be trusted.
"""

import difflib
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from btcbot.domain.feed import ReadRules, RulesRead
from btcbot.domain.ids import Pair
from btcbot.domain.instruments import Instrument
from btcbot.domain.messages import InstrumentRules
from btcbot.domain.repeats import Repeats
from btcbot.market.say import SECOND_NS, Complain, Said, Say

READ_EVERY_NS: Final = 60 * SECOND_NS  # The exchange's own answer may be 30 s old.
RETRY_NS: Final = 2 * SECOND_NS
LIFE_NS: Final = 600 * SECOND_NS
AGAIN_NS: Final = 10 * SECOND_NS


class Listing(Struct):
    """Owned by market_data, changed in place."""

    pairs: tuple[Pair, ...]
    instruments: dict[Pair, Instrument] = field(default_factory=dict)
    listed: tuple[Pair, ...] = ()  # Every pair of the exchange, for suggestions.
    ours: tuple[Instrument, ...] = ()  # What is said: the values of `instruments`.
    read_ns: int = 0
    due_ns: int = 0
    repeats: Repeats = field(default_factory=lambda: Repeats(every_ns=AGAIN_NS))

    def may_have(self, pair: Pair) -> bool:
        """Return whether the exchange has `pair`, as far as is known."""
        return not self.listed or pair in self.instruments

    def trouble(self, pair: Pair, now_ns: int) -> str:
        """Return why a pair must not be traded, whatever its prices; empty: nothing is known."""
        if not self.may_have(pair):
            return self._unknown(pair)
        age_ns = now_ns - self.read_ns
        is_old = bool(self.listed) and age_ns > LIFE_NS
        return f"its rules are {age_ns // SECOND_NS} s old" if is_old else ""

    def is_troubled(self, now_ns: int) -> bool:
        """Return whether any pair has such a trouble."""
        is_whole = len(self.instruments) == len(self.pairs)
        return bool(self.listed) and (not is_whole or now_ns - self.read_ns > LIFE_NS)

    @property
    def next_ns(self) -> int:
        """When there is something to read or to say, or the rules become too old; 0: now."""
        return min(self.due_ns, self.read_ns + LIFE_NS, self.repeats.next_ns)

    def hear(self, read: RulesRead, now_ns: int) -> Said:
        """Take the rules of our pairs; tell what changed of them."""
        found = {rules.pair: rules for rules in read.instruments}
        self.listed, self.read_ns = tuple(found), now_ns
        complaints: list[Struct] = []
        before = self.ours
        for pair in self.pairs:
            old = self.instruments.get(pair)
            rules = found.get(pair) or (old and replace(old, is_trading=False))
            if rules is None:
                complaints.append(Complain("unknown_pair", self._unknown(pair)))
                continue
            self.instruments[pair] = rules
            if old is not None and rules != old:
                complaints.append(Complain("rules_changed", _difference(old, rules)))
        self.ours = tuple(self.instruments.values())
        if self.ours != before:
            self.repeats.hearer_came(now_ns)
        return (self._say(now_ns), *complaints)

    def hearer_came(self, now_ns: int) -> Said:
        """Say the rules to a hearer that came up, and again until it is sure to be joined."""
        self.repeats.hearer_came(now_ns)
        return (self._say(now_ns),) if self.instruments else ()

    def tick(self, now_ns: int, *, is_time: bool) -> Said:
        """Read the rules when they are due; say them if it `is_time` to repeat what is known."""
        said: Said = ()
        if self.due_ns <= now_ns:
            is_fresh = now_ns - self.read_ns < 2 * READ_EVERY_NS
            self.due_ns = now_ns + (READ_EVERY_NS if is_fresh else RETRY_NS)
            said = (ReadRules(),)
        return (*said, self._say(now_ns)) if is_time and self.instruments else said

    def _say(self, now_ns: int) -> Say:
        self.repeats.said_ns = now_ns
        return Say("rules", InstrumentRules(instruments=self.ours, at_ns=now_ns))

    def _unknown(self, pair: Pair) -> str:
        near = difflib.get_close_matches(pair, self.listed, n=3)
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        return f"the exchange has no pair {pair}{hint}"


def _difference(old: Instrument, new: Instrument) -> str:
    names = (n for n in new.__struct_fields__ if getattr(old, n) != getattr(new, n))
    return f"{new.pair}: " + ", ".join(f"{n} {getattr(old, n)} -> {getattr(new, n)}" for n in names)
