"""The sandbox: the exchange model, its moving market, and what both leave on disk.

Knows no HTTP: `server.py` asks it questions. Everything it acknowledges is in the state file
first, so a sandbox that is killed goes on where it was.
"""

import os
from collections import deque
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field

from btcbot.domain.ids import Asset, Pair
from btcbot.domain.instruments import Instrument, default_fees
from btcbot.domain.words import Side
from btcbot.simulation.account import Balance, Order, Trade
from btcbot.simulation.defaults import START_PRICES
from btcbot.simulation.exchange import Exchange
from btcbot.simulation.market import SyntheticMarket

WINDOW = 100
TRADES_KEPT = 50
LOG_MAX = 100_000
DAY_NS = 86_400 * 1_000_000_000
FIRST_TID = 100_163_842_129_199_900


class PublicTrade(Struct, frozen=True):
    tid: int
    side: Side
    price: Decimal
    quantity: Decimal
    at_ns: int


class Saved(Struct, omit_defaults=True):
    """One line of the state file: whatever changed since the line before."""

    orders: list[Order] = field(default_factory=list)
    trades: list[Trade] = field(default_factory=list)
    balances: dict[Asset, Balance] = field(default_factory=dict)
    prices: dict[Pair, Decimal] = field(default_factory=dict)


class PairView(Struct):
    """What the public side shows of one pair."""

    rules: Instrument
    open: Decimal
    high: Decimal
    low: Decimal
    volume: Decimal = Decimal(0)
    tid: int = FIRST_TID
    trades: deque[PublicTrade] = field(default_factory=lambda: deque(maxlen=TRADES_KEPT))
    change_set: int = 1
    bids: dict[Decimal, Decimal] = field(default_factory=dict)  # As last batched.
    asks: dict[Decimal, Decimal] = field(default_factory=dict)


class Sandbox:
    """One exchange with one account; time is told to it, in ns."""

    def __init__(
        self,
        instruments: Iterable[Instrument],
        balances: Mapping[Asset, Decimal],
        now_ns: int,
        *,
        seed: int = 1,
        state: Path | None = None,
    ) -> None:
        rules = list(instruments)
        fees = {row.quote: default_fees(row.quote) for row in rules}
        self.exchange = Exchange(rules, fees, balances)
        self.started_ns = now_ns
        self.requests: deque[dict[str, Any]] = deque(maxlen=LOG_MAX)
        self.views = {row.pair: _view(row) for row in rules}
        self._markets = {
            row.pair: SyntheticMarket(row, START_PRICES[row.pair], seed) for row in rules
        }
        self._file = -1
        if state is not None:
            self._open(state)
        self.step(0.5, now_ns)

    # --- the market ---------------------------------------------------------------------------

    def step(self, seconds: float, now_ns: int) -> None:
        """Let the synthetic market move on by `seconds` of market time."""
        for pair, market in self._markets.items():
            picture = market.step(seconds)
            for trade in picture.trades:
                self.print_trade(pair, trade.side, trade.price, trade.quantity, now_ns)
            self.exchange.set_book(pair, picture.bids, picture.asks, now_ns)
        self.exchange.advance(now_ns)

    def print_trade(
        self, pair: Pair, side: Side, price: Decimal, quantity: Decimal, now_ns: int
    ) -> None:
        """Show a public trade and let it meet our resting orders."""
        view = self.views[pair]
        view.tid += 1
        view.trades.append(PublicTrade(view.tid, side, price, quantity, now_ns))
        view.high, view.low = max(view.high, price), min(view.low, price)
        view.volume += quantity
        self.exchange.print_trade(pair, side, price, quantity, now_ns)

    def window(self, pair: Pair) -> tuple[list[tuple[Decimal, Decimal]], ...]:
        """Return (bids, asks) as anybody sees them: 100 levels a side, best first."""
        market = self.exchange.markets[pair]
        bids = sorted(market.bids.items(), reverse=True)[:WINDOW]
        return bids, sorted(market.asks.items())[:WINDOW]

    # --- persistence --------------------------------------------------------------------------

    def save(self) -> None:
        """Write down what changed: before any answer says so."""
        orders, trades = self.exchange.account.changes()
        if self._file >= 0 and (orders or trades):
            balances = self.exchange.account.balances
            prices = {pair: market.price for pair, market in self.exchange.markets.items()}
            line = msgspec.json.encode(Saved(orders, trades, dict(balances), prices))
            os.write(self._file, line + b"\n")

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)

    def _open(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / "account.jsonl"
        orders: dict[int, Order] = {}
        trades: list[Trade] = []
        for line in path.read_bytes().split(b"\n")[:-1] if path.exists() else ():
            saved = msgspec.json.decode(line, type=Saved)
            orders |= {order.id: order for order in saved.orders}
            trades += saved.trades
            if saved.balances:
                self.exchange.account.balances = saved.balances
            for pair, price in saved.prices.items():
                if pair in self._markets and price:
                    self._markets[pair].resume_at(price)
        self.exchange.restore(orders.values(), trades)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._file = os.open(path, flags, 0o600)


def _view(rules: Instrument) -> PairView:
    start = START_PRICES[rules.pair]
    return PairView(rules=rules, open=start, high=start, low=start)
