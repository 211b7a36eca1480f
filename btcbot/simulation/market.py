"""A seeded synthetic market: spreads, clustering and jumps like a TRY pair's, livelier than most.

Per step of market time the middle takes a Gaussian step whose size follows a slow, mean-reverting
volatility (calm and wild minutes alternate), with a rare jump, and is pulled weakly back to where
it began, so that a demonstration neither goes to zero nor to the moon. Trades come in bursts,
more of them when the market is wild. Floats make the path; what leaves is exact, on the scale.
"""

import math
import random
from decimal import Decimal

from msgspec import Struct

from btcbot.domain.instruments import Instrument
from btcbot.domain.money import step_of
from btcbot.domain.words import Side

LEVELS = 60
VOLATILITY_BPS = 6.0  # Of a second, on average; a quiet hour of the real pair has a third of it.
JUMPS_PER_S = 0.004
PULL = 0.002  # Of the distance to the start, each second.
TRADES_PER_S = 1.2
DEPTH_QUOTE = 20_000.0  # Mean value of one level, in TRY (a fortieth of it in USDT).


class PrintedTrade(Struct, frozen=True):
    side: Side  # The taker's.
    price: Decimal
    quantity: Decimal


class Picture(Struct, frozen=True):
    """The book after a step, best first, and what traded during it."""

    bids: tuple[tuple[Decimal, Decimal], ...]
    asks: tuple[tuple[Decimal, Decimal], ...]
    trades: tuple[PrintedTrade, ...]


class SyntheticMarket:
    """One pair's market; the same seed and the same steps give the same pictures."""

    def __init__(self, rules: Instrument, start: Decimal, seed: int) -> None:
        self._rules = rules
        self._random = random.Random(f"{seed}|{rules.pair}")
        self._start = math.log(float(start))
        self._log_price = self._start
        self._log_volatility = 0.0
        self._tick = float(step_of(rules.price_scale))
        self._depth = DEPTH_QUOTE if rules.quote == "TRY" else DEPTH_QUOTE / 40
        self._sizes = [self._size(n) for n in range(2 * LEVELS)]

    def resume_at(self, price: Decimal) -> None:
        """Go on from `price`: where an earlier life of this market ended."""
        self._log_price = math.log(float(price))

    def step(self, seconds: float) -> Picture:
        """Let `seconds` of market time pass."""
        draw = self._random
        self._log_volatility += -0.02 * seconds * self._log_volatility
        self._log_volatility += 0.12 * math.sqrt(seconds) * draw.gauss(0, 1)
        volatility = VOLATILITY_BPS / 1e4 * math.exp(min(self._log_volatility, 1.5))
        self._log_price += volatility * math.sqrt(seconds) * draw.gauss(0, 1)
        self._log_price -= PULL * seconds * (self._log_price - self._start)
        if draw.random() < JUMPS_PER_S * seconds:
            self._log_price += draw.gauss(0, 0.004)
        half_spread = (2.0 + 1.5 * math.exp(self._log_volatility) + draw.expovariate(1.0)) / 1e4
        middle = math.exp(self._log_price)
        for n in draw.sample(range(2 * LEVELS), 8):
            self._sizes[n] = self._size(n)
        bids = self._side(middle * (1 - half_spread), -1, middle)
        asks = self._side(middle * (1 + half_spread), 1, middle)
        trades = tuple(self._trades(seconds, bids[0][0], asks[0][0], middle))
        return Picture(bids, asks, trades)

    def _side(self, best: float, sign: int, middle: float) -> tuple[tuple[Decimal, Decimal], ...]:
        """Return one side: gaps grow with the distance, prices lie on the scale, none twice."""
        unit = math.ceil if sign > 0 else math.floor
        ticks = unit(best / self._tick)
        step = max(1, round(middle * 0.6e-4 / self._tick))
        offset = LEVELS if sign > 0 else 0
        levels = []
        for n in range(LEVELS):
            price = Decimal(ticks).scaleb(-self._rules.price_scale)
            quantity = self._quantity(self._sizes[offset + n] / middle)
            levels.append((price, quantity))
            ticks += sign * (step + (n * step) // 12)
        return tuple(levels)

    def _trades(
        self, seconds: float, bid: Decimal, ask: Decimal, middle: float
    ) -> list[PrintedTrade]:
        draw = self._random
        rate = TRADES_PER_S * seconds * math.exp(0.5 * self._log_volatility)
        printed = []
        while draw.random() < rate / (1 + rate):
            side = Side.BUY if draw.random() < 0.5 else Side.SELL
            quantity = self._quantity(draw.expovariate(1 / (0.3 * self._depth)) / middle)
            printed.append(PrintedTrade(side, ask if side is Side.BUY else bid, quantity))
        return printed

    def _size(self, n: int) -> float:
        """Draw one level's value in quote; deeper levels hold more."""
        return self._depth * self._random.expovariate(1.0) * (0.6 + (n % LEVELS) / LEVELS)

    def _quantity(self, quantity: float) -> Decimal:
        scale = self._rules.quantity_scale
        return max(Decimal(round(quantity * 10**scale)).scaleb(-scale), self._rules.step)
