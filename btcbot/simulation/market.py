"""A seeded synthetic market: spreads, clustering and jumps like a TRY pair's, livelier than most.

Per step of market time the middle takes a Gaussian step whose size follows a slow, mean-reverting
volatility (calm and wild minutes alternate), with a rare jump, and is pulled weakly back to where
it began, so that a demonstration goes neither to zero nor to the moon: 0.3 to 1 % within a minute,
some 2 % over hours. A quiet hour of the real pair has a third of that.

Levels stand on fixed places of a lattice, as people leave orders standing: when the middle moves,
only what it passes changes. Trades excite further trades and take from the touch. Floats make the
path; what leaves is exact, on the pair's scales. The same seed and steps give the same market.
"""

import math
import random
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Final

from msgspec import Struct

from btcbot.domain.instruments import Instrument
from btcbot.domain.words import Side

VOLATILITY: Final = 6e-4  # Of the square root of a second, on average.
CALMING: Final = 0.02  # The log of the volatility returns to 0 at this rate per second,
SHAKING: Final = 0.12  # and is shaken by this much per square root of a second.
JUMPS_PER_S: Final = 0.004
JUMP: Final = 0.004
PULL: Final = 0.002  # Of the distance to the start, each second.
TRADES_PER_S: Final = 0.5  # Without any to excite them.
EXCITEMENT: Final = 0.6  # Further trades a second, for each trade,
CALM_AFTER_S: Final = 1.0  # falling off within about this time.
TRADES_MAX: Final = 200  # A step, however long.
GAP: Final = 0.8e-4  # Between places of the lattice, of the price.
DEPTH: Final = 20_000.0  # Mean value of a level near the touch, in TRY.
TRY_PER_QUOTE: Final = {"TRY": 1.0, "USDT": 45.0}
REFRESHED_PER_S: Final = 12.0  # Levels whose size somebody changes.
# Up to each of these distances from the touch, one place in so many has a level: 60 in all.
BANDS: Final = ((20, 1), (100, 4), (500, 20))

Level = tuple[Decimal, Decimal]


class PrintedTrade(Struct, frozen=True):
    side: Side  # The taker's.
    price: Decimal
    quantity: Decimal


class Moves(Struct, frozen=True):
    """What a step did: the trades, and the levels that are different after it (0: gone)."""

    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    trades: tuple[PrintedTrade, ...]


class SyntheticMarket:
    """One pair's market; lattice places are numbered from price 0."""

    def __init__(self, rules: Instrument, start: Decimal, seed: int) -> None:
        self._rules = rules
        self._random = random.Random(f"{seed}|{rules.pair}")
        self._start = self._log_price = math.log(float(start))
        self._log_volatility = 0.0
        self._excitement = 0.0
        self._tick = float(Decimal(1).scaleb(-rules.price_scale))
        self._gap = max(1, round(float(start) * GAP / self._tick))  # In ticks.
        self._depth = DEPTH / TRY_PER_QUOTE.get(rules.quote, 1.0)
        self._steps_in_one = 10.0**rules.quantity_scale
        self._bids: dict[int, int] = {}  # Place to quantity, in steps.
        self._asks: dict[int, int] = {}

    @property
    def middle(self) -> float:
        return math.exp(self._log_price)

    def resume_at(self, price: Decimal) -> None:
        """Go on from `price`: where an earlier life of this market ended."""
        self._log_price = math.log(float(price))

    def step(self, seconds: float) -> Moves:
        """Let `seconds` of market time pass: trade at what stood there, then move."""
        changed: tuple[set[int], set[int]] = (set(), set())
        trades = tuple(self._trade(seconds, changed)) if self._bids and self._asks else ()
        self._move(seconds)
        half_spread = (1.2 + 1.0 * math.exp(self._log_volatility)) / 1e4
        half_spread += self._random.expovariate(2.0) / 1e4
        lattice = self._gap * self._tick
        bid = math.floor(self.middle * (1 - half_spread) / lattice)
        ask = max(bid + 1, math.ceil(self.middle * (1 + half_spread) / lattice))
        self._stand(self._bids, changed[0], _places(bid, -1))
        self._stand(self._asks, changed[1], _places(ask, 1))
        self._refresh(seconds, changed)
        return Moves(self._told(self._bids, changed[0]), self._told(self._asks, changed[1]), trades)

    # --- the path -----------------------------------------------------------------------------

    def _move(self, seconds: float) -> None:
        draw = self._random
        self._log_volatility *= math.exp(-CALMING * seconds)
        self._log_volatility += SHAKING * math.sqrt(min(seconds, 1 / CALMING)) * draw.gauss(0, 1)
        self._log_volatility = max(-1.5, min(1.5, self._log_volatility))
        size = VOLATILITY * math.exp(self._log_volatility) * math.sqrt(min(seconds, 1 / PULL))
        distance = self._log_price - self._start
        self._log_price = self._start + distance * math.exp(-PULL * seconds)
        self._log_price += size * draw.gauss(0, 1)
        if draw.random() < JUMPS_PER_S * seconds:
            self._log_price += draw.gauss(0, JUMP)

    def _trade(self, seconds: float, changed: tuple[set[int], set[int]]) -> Iterable[PrintedTrade]:
        """Yield the trades of a step; each takes from the best level, and excites more."""
        draw = self._random
        self._excitement *= math.exp(-seconds / CALM_AFTER_S)
        rate = TRADES_PER_S * math.exp(0.5 * self._log_volatility) + self._excitement
        due = draw.expovariate(1.0)
        count = min(rate * seconds, TRADES_MAX)
        while due < count and self._bids and self._asks:
            side = Side.BUY if draw.random() < 0.5 else Side.SELL
            levels = self._asks if side is Side.BUY else self._bids
            best = min(levels) if side is Side.BUY else max(levels)
            wanted = self._steps(draw.expovariate(1 / (0.4 * self._depth)))
            quantity = min(wanted, levels[best])
            changed[1 if side is Side.BUY else 0].add(best)
            levels[best] -= quantity
            if not levels[best]:
                del levels[best]
            yield PrintedTrade(side, self._price(best), self._quantity(quantity))
            due += draw.expovariate(1.0)
            self._excitement = min(self._excitement + EXCITEMENT, 20.0)

    # --- the levels ---------------------------------------------------------------------------

    def _stand(self, levels: dict[int, int], changed: set[int], places: Iterable[int]) -> None:
        """Let levels stand at `places` and nowhere else; those that stood already stay."""
        wanted = dict.fromkeys(places)
        for place in [place for place in levels if place not in wanted]:
            del levels[place]
            changed.add(place)
        for n, place in enumerate(wanted):
            if place not in levels:
                levels[place] = self._size(n)
                changed.add(place)

    def _refresh(self, seconds: float, changed: tuple[set[int], set[int]]) -> None:
        """Change the sizes of some levels, mostly near the touch."""
        draw = self._random
        for levels, touched in zip((self._bids, self._asks), changed, strict=True):
            places = list(levels)
            for _ in range(min(round(REFRESHED_PER_S * seconds / 2 + draw.random()), len(places))):
                n = min(int(draw.expovariate(0.15)), len(places) - 1)
                levels[places[n]] = self._size(n)
                touched.add(places[n])

    def _size(self, n: int) -> int:
        """Draw the quantity of a side's n-th level, in steps; deeper levels hold more."""
        return self._steps(self._depth * self._random.expovariate(1.0) * (0.6 + n / 30))

    def _steps(self, value: float) -> int:
        return max(1, round(value / self.middle * self._steps_in_one))

    def _told(self, levels: dict[int, int], changed: set[int]) -> tuple[Level, ...]:
        return tuple(
            (self._price(place), self._quantity(levels.get(place, 0))) for place in sorted(changed)
        )

    def _price(self, place: int) -> Decimal:
        """Return the price of a place: somewhere on its stretch of the lattice, always the same."""
        ticks = place * self._gap + (place * 2_654_435_761 & 0xFFFFFFFF) % self._gap
        return Decimal(ticks).scaleb(-self._rules.price_scale)

    def _quantity(self, steps: int) -> Decimal:
        return Decimal(steps).scaleb(-self._rules.quantity_scale)


def _places(best: int, sign: int) -> Iterator[int]:
    """Yield where levels stand on one side, best first."""
    nearest = 0
    for farthest, one_in in BANDS:
        first, last = sorted((best + sign * nearest, best + sign * (farthest - 1)))
        found = range(-(-first // one_in) * one_in, last + 1, one_in)
        yield from found if sign > 0 else reversed(found)
        nearest = farthest


def past(rules: Instrument, until: Decimal, seed: int, minutes: int) -> list[tuple[float, ...]]:
    """Return made-up minutes (open, high, low, close, volume in base) that end at `until`.

    Drawn backwards: the pulled walk looks the same in both directions of time.
    """
    draw = random.Random(f"{seed}|{rules.pair}|past")
    middle = closed = float(until)
    depth = DEPTH / TRY_PER_QUOTE.get(rules.quote, 1.0)
    calm = math.exp(-PULL * 60)
    rows: list[tuple[float, ...]] = []
    for _ in range(minutes):
        distance = math.log(closed / middle)
        opened = middle * math.exp(distance * calm + VOLATILITY * draw.gauss(0, 1) * 7.7)
        wick = abs(draw.gauss(0, VOLATILITY * 4))
        high, low = max(opened, closed) * (1 + wick), min(opened, closed) * (1 - wick)
        volume = depth * draw.expovariate(1 / 25) / closed
        rows.append((opened, high, low, closed, volume))
        closed = opened
    return rows[::-1]
