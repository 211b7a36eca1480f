"""A backtest written a second time, of plain loops: no actor, no bus, no book but two dicts.

It is given when a strategy hears of the market and how long an order travels, as the documents
state them, and works out for itself what is decided, what is executed and what that costs. One
thing it is told: when an order was known to be over. So long no silence of candles is leapt over,
and a quote is heard again every second.
"""

import csv
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, Decimal
from pathlib import Path
from typing import NamedTuple

from btcbot.domain.recorded import BookMoved, BookSet, Happening

SECOND = 1_000_000_000
BATCH = 760_000_000  # Depth is shown so often.
TRAVEL = 25_000_000  # An order, one way.
KNOWN = 85_000_000  # From a decision: there, the private socket's word (10), asked and answered.
SETTLE = 30 * SECOND
LINGER, LEAD = SECOND * 2 // 5, SECOND // 2  # Time leaps from so long after a quote to the next.
CROSS = Decimal("0.0020")
TICK, FEE_STEP = Decimal(10), Decimal("0.00000001")
TAKER = Decimal("0.0024")


class Fill(NamedTuple):
    at_ns: int
    side: str
    price: Decimal
    quantity: Decimal
    fee: Decimal
    tax: Decimal


Lives = dict[int, int]
"""When an order was decided to when it was known to be over."""


class EmaCross:
    """The textbook rule in floats."""

    def __init__(self, fast: int, slow: int) -> None:
        self.weights, self.slow, self.seen = (2 / (fast + 1), 2 / (slow + 1)), slow, 0
        self.means = [0.0, 0.0]

    def wants(self, bid: Decimal, ask: Decimal, *, is_long: bool) -> str:
        middle = float(bid + ask) / 2
        self.seen += 1
        if self.seen == 1:
            self.means = [middle, middle]
            return ""
        for n, weight in enumerate(self.weights):
            self.means[n] += weight * (middle - self.means[n])
        if self.seen < self.slow or (self.means[0] > self.means[1]) is is_long:
            return ""
        return "sell" if is_long else "buy"


class BuyAndHold:
    """Buys when it hears of the market for the `when`-th time."""

    def __init__(self, when: int) -> None:
        self.when, self.seen = when, 0

    def wants(self, _bid: Decimal, _ask: Decimal, *, is_long: bool) -> str:
        self.seen += 1
        return "buy" if self.seen == self.when and not is_long else ""


class Naive:
    """One account in one market."""

    def __init__(self, rule: EmaCross | BuyAndHold, quantity: Decimal, cash: Decimal) -> None:
        self.rule, self.quantity, self.cash, self.units = rule, quantity, cash, Decimal(0)
        self.book: dict[str, dict[Decimal, Decimal]] = {"buy": {}, "sell": {}}
        self.fills: list[Fill] = []
        self.sent: tuple[int, str, Decimal, Decimal] | None = None
        self.busy_ns = 0
        self.was_long = False
        self.lives: Lives = {}

    def best(self) -> tuple[Decimal, Decimal]:
        return max(self.book["buy"]), min(self.book["sell"])

    def hear(self, now_ns: int) -> None:
        """Let the strategy hear the best prices."""
        bid, ask = self.best()
        is_free = now_ns >= self.busy_ns
        side = self.rule.wants(bid, ask, is_long=self.units > 0 if is_free else self.was_long)
        if not side or not is_free:
            return
        if side == "buy":
            limit, quantity = to_tick(ask * (1 + CROSS), ROUND_CEILING), self.quantity
        else:
            limit, quantity = to_tick(bid * (1 - CROSS), ROUND_FLOOR), self.units
        self.sent = (now_ns + TRAVEL, side, limit, quantity)
        self.was_long, self.busy_ns = self.units > 0, now_ns + KNOWN

    def arrive(self, now_ns: int) -> None:
        """Execute the order that arrives by now, level by level within its limit."""
        if self.sent is None or self.sent[0] > now_ns:
            return
        at_ns, side, limit, left = self.sent
        self.sent = None
        levels = self.book["sell" if side == "buy" else "buy"]
        for price in sorted(levels, reverse=side == "sell"):
            if not left or (price > limit if side == "buy" else price < limit):
                break
            taken = min(left, levels[price])
            left -= taken
            levels[price] -= taken
            if not levels[price]:
                del levels[price]
            self.fill(Fill(at_ns, side, price, taken, *charges(price * taken)))
        if left:  # It rests until it is cancelled; no market comes near it before that.
            self.busy_ns = self.lives[at_ns - TRAVEL]

    def fill(self, done: Fill) -> None:
        self.fills.append(done)
        sign = 1 if done.side == "buy" else -1
        self.cash -= sign * done.price * done.quantity + done.fee + done.tax
        self.units += sign * done.quantity


def to_tick(price: Decimal, rounding: str) -> Decimal:
    return (price / TICK).quantize(Decimal(1), rounding) * TICK


def charges(notional: Decimal) -> tuple[Decimal, Decimal]:
    """Return (fee, tax): 24 bps together, of which the tax is a fifth of the fee."""
    fee = (notional * TAKER / Decimal("1.2")).quantize(FEE_STEP, ROUND_DOWN)
    return fee, (fee / 5).quantize(FEE_STEP, ROUND_DOWN)


class Batches:
    """When the strategy hears of a book that moves: the beat of the feed."""

    def __init__(self, account: Naive, start_ns: int) -> None:
        self.account, self.beat_ns, self.has_moved, self.shown = account, start_ns + BATCH, False, 0

    def until(self, now_ns: int) -> None:
        """Let every beat up to `now_ns` happen."""
        while self.beat_ns <= now_ns:
            self.account.arrive(self.beat_ns)
            if self.has_moved:
                self.shown += 1
                if self.shown > 1:  # Nobody decides on the first: the feed is not live yet.
                    self.account.hear(self.beat_ns)
            self.has_moved, self.beat_ns = False, self.beat_ns + BATCH
        self.account.arrive(now_ns)

    def move(self, event: BookSet | BookMoved) -> None:
        self.has_moved = True
        book = self.account.book
        for side, levels in (("buy", event.bids), ("sell", event.asks)):
            if isinstance(event, BookSet):
                book[side] = {}
            for price, quantity in levels:
                book[side].pop(price, None)
                if quantity:
                    book[side][price] = quantity


def over_depth(account: Naive, events: Iterable[Happening]) -> Naive:
    """Trade over a recording of the full depth, which is shown in batches."""
    batches, last_ns = None, 0
    for event in events:
        batches = batches or Batches(account, event.at_ns)
        batches.until(event.at_ns)
        if isinstance(event, BookSet | BookMoved):
            batches.move(event)
        last_ns = event.at_ns
    account.arrive(last_ns + SETTLE)
    return account


def path_of(path: Path) -> Iterator[tuple[int, str, Decimal, Decimal]]:
    """Yield (time, taker's side, price, quantity) of the four trades of every one-minute candle."""
    with path.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            opened = row.get("datetime") or row.get("timestamp")
            if opened:
                began = datetime.fromisoformat(opened).replace(tzinfo=UTC)
                open_ns = int(began.timestamp()) * SECOND
            else:
                open_ns = int(row["open_ms"]) * 1_000_000
            o, h, low, c = (Decimal(row[name]) for name in ("open", "high", "low", "close"))
            quarter = (Decimal(row["volume"]) / 4).quantize(FEE_STEP, ROUND_DOWN)
            legs = (o, low, h, c) if o - low <= h - o else (o, h, low, c)
            before = o
            for n, price in enumerate(legs):
                if quarter:
                    side = "buy" if price >= before else "sell"
                    yield open_ns + n * 15 * SECOND, side, price, quarter
                before = price


def over_candles(
    account: Naive, path: Path, lives: Lives, start_price: Decimal | None = None
) -> Naive:
    """Trade over candles: every trade is followed by the quote that it implies."""
    account.lives = lives
    trades = list(path_of(path))
    factor = start_price / trades[0][2] if start_price else Decimal(1)
    ends = [*(trade[0] for trade in trades[1:]), trades[-1][0] + SETTLE]
    for number, ((at_ns, side, price, quantity), next_ns) in enumerate(
        zip(trades, ends, strict=True)
    ):
        is_bought, is_last = side == "buy", number == len(trades) - 1
        ours = to_tick(price * factor, ROUND_CEILING if is_bought else ROUND_FLOOR)
        bid, ask = (ours - TICK, ours) if is_bought else (ours, ours + TICK)
        account.book = {"buy": {bid: quantity}, "sell": {ask: quantity}}
        is_first = number == 0
        for now_ns in moments(lives, at_ns, next_ns, is_last=is_last):
            account.arrive(now_ns)
            if not is_first:  # The feed is said to be live with the first tick.
                account.hear(now_ns)
        account.arrive(next_ns - 1)
    return account


def moments(lives: Lives, at_ns: int, next_ns: int, *, is_last: bool) -> Iterator[int]:
    """Yield when the quote of `at_ns` is heard.

    At once, and once more half a second before the next one: nothing of ours is alive in between,
    and time leaps. With a live order it goes on, and so it does after the last quote: then it is
    heard again every second. Those seconds begin where the last leap ended.
    """
    yield at_ns
    tick_ns = at_ns + SECOND - LEAD
    if is_last:
        yield from range(tick_ns, next_ns + 1, SECOND)
        return
    now_ns = at_ns + LINGER
    while now_ns < next_ns - LEAD and is_alive(lives, now_ns):
        yield tick_ns
        now_ns, tick_ns = now_ns + SECOND, tick_ns + SECOND
    if now_ns < next_ns - LEAD:
        yield next_ns - LEAD


def is_alive(lives: Lives, now_ns: int) -> bool:
    return any(decided_ns <= now_ns < over_ns for decided_ns, over_ns in lives.items())
