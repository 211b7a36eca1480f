"""A long walk of fills, deposits and moves through the lots, against a naive recomputation.

`python -m tests.ledger.walk STEPS [SEED]` walks far; the tests walk a little.
"""

import sys
from collections import defaultdict
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import Final

from btcbot.domain.facts import BalancesExplained, Fact, Fill, Opening, Posting
from btcbot.domain.ids import Asset, CommandId, IntentId, OrderId, Pair, TradeId
from btcbot.domain.messages import AssetBalance
from btcbot.domain.money import Amount, Price, Quantity
from btcbot.domain.words import Side
from btcbot.ledger import lots, postings, statement
from btcbot.ledger.lots import Closing, Lots, Method
from btcbot.ledger.statement import Statement

START_NS: Final = 1_795_000_000_000_000_000
TRY, BTC, ETH = Asset("TRY"), Asset("BTC"), Asset("ETH")
BASES: Final = {Pair("BTCTRY"): BTC, Pair("ETHTRY"): ETH}
BOOKS: Final = ("one", "other")


class Naive:
    """FIFO the slow way: a list of [quantity, unit cost, unit charges], in fractions."""

    def __init__(self) -> None:
        self.held: dict[tuple[str, Pair], list[list[Fraction]]] = defaultdict(list)
        self.realized = Fraction(0)
        self.unknown = Fraction(0)

    def buy(
        self, key: tuple[str, Pair], quantity: Decimal, price: Decimal, charges: Decimal
    ) -> None:
        amount = Fraction(quantity)
        self.held[key].append([amount, Fraction(price), Fraction(charges) / amount])

    def sell(
        self, key: tuple[str, Pair], quantity: Decimal, price: Decimal, charges: Decimal
    ) -> None:
        left, unit = Fraction(quantity), Fraction(charges) / Fraction(quantity)
        while left and self.held[key]:
            lot = self.held[key][0]
            part = min(left, lot[0])
            self.realized += part * (Fraction(price) - lot[1] - lot[2] - unit)
            lot[0] -= part
            left -= part
            if not lot[0]:
                self.held[key].pop(0)
        self.unknown += left


class Walk:
    """Books that are folded fact by fact, and the naive ones beside them."""

    def __init__(self, seed: int, method: Method = Method.FIFO) -> None:
        self.random = Random(seed)
        self.lots, self.naive, self.statement = Lots(method), Naive(), Statement()
        self.facts: list[Fact] = []
        self.closings: list[Closing] = []
        self.held: dict[Asset, Decimal] = {TRY: Decimal(10**9)}
        rows = (AssetBalance(TRY, Amount(self.held[TRY]), Amount(self.held[TRY])),)
        self._take(Opening(balances=rows, postings=postings.of_opening(rows), at_ns=START_NS))

    def step(self) -> None:
        """Let one thing happen: a fill mostly, now and then a deposit or a move."""
        chance = self.random.random()
        if chance < 0.03:
            self._explain()
        elif chance < 0.06:
            self._move()
        else:
            self._fill()

    def _take(self, fact: Fact) -> None:
        self.facts.append(fact)
        statement.take(self.statement, len(self.facts), fact)

    def _decimal(self, low: int, high: int, scale: int) -> Decimal:
        return Decimal(self.random.randint(low, high)).scaleb(-scale)

    def _fill(self) -> None:
        number = len(self.facts)
        pair = self.random.choice(tuple(BASES))
        book = self.random.choice(BOOKS)
        side = self.random.choice((Side.BUY, Side.BUY, Side.SELL))
        quantity, price = self._decimal(1, 10**8, 8), self._decimal(10**3, 10**9, 2)
        fee, tax = self._decimal(0, 10**7, 8), self._decimal(0, 10**6, 8)
        fill = Fill(
            trade_id=TradeId(number), order_id=OrderId(number), intent_id=IntentId(book),
            client_order_id=None, pair=pair, side=side, quantity=Quantity(quantity),
            price=Price(price), fee=Amount(fee), tax=Amount(tax), fee_asset=TRY,
            event_ns=START_NS + number, liquidity=None,
            postings=postings.of_fill(side, BASES[pair], TRY, Quantity(quantity), Price(price),
                                      Amount(fee), Amount(tax)),
            at_ns=START_NS + number,
        )  # fmt: skip
        self._take(fill)
        self.closings += lots.fold(self.lots, book, fill)
        do = self.naive.buy if side is Side.BUY else self.naive.sell
        do((book, pair), quantity, price, fee + tax)
        sign = 1 if side is Side.BUY else -1
        base = BASES[pair]
        self.held[base] = self.held.get(base, Decimal(0)) + sign * quantity
        self.held[TRY] -= sign * quantity * price + fee + tax

    def _explain(self) -> None:
        amount = self._decimal(-(10**6), 10**6, 2) or Decimal(1)
        lines = (Posting("asset", TRY, Amount(amount)), Posting("external", TRY, Amount(-amount)))
        self._take(
            BalancesExplained(
                postings=lines, by="a person", reason="a walk", command_id=CommandId("c"),
                at_ns=START_NS,
            )
        )  # fmt: skip
        self.held[TRY] += amount

    def _move(self) -> None:
        pair = self.random.choice(tuple(BASES))
        seller, buyer = self.random.sample(BOOKS, 2)
        there = self.lots.quantity(seller, pair)
        if not there:
            return
        quantity = min(there, self._decimal(1, 10**8, 8))
        price = self._decimal(10**3, 10**9, 2)
        moved = lots.Move(pair=pair, asset=TRY, seller=seller, buyer=buyer, quantity=quantity,
                          price=price, at_ns=START_NS)  # fmt: skip
        self.closings += lots.move(self.lots, moved)
        self.naive.sell((seller, pair), quantity, price, Decimal(0))
        self.naive.buy((buyer, pair), quantity, price, Decimal(0))

    def check(self) -> None:
        """Hold everything against the naive books. Raises AssertionError."""
        assert self.statement.faults == []
        by_asset: dict[Asset, Decimal] = defaultdict(Decimal)
        for (asset, _), amount in self.statement.totals.items():
            by_asset[asset] += amount
        assert set(by_asset.values()) <= {0}
        owned = statement.owned(self.statement)
        assert {asset: owned.get(asset, 0) for asset in self.held} == self.held
        realized = sum(
            (c.realized for c in self.closings if c.realized is not None), start=Decimal(0)
        )
        # Each division of a lot's charges is rounded once, at 16 decimals.
        slack = Fraction(len(self.closings) * 4 + 1, 10**16)
        if self.lots.method is Method.FIFO:
            assert abs(Fraction(realized) - self.naive.realized) <= slack
        unknown = sum((c.quantity for c in self.closings if c.cost is None), start=Decimal(0))
        assert Fraction(unknown) == self.naive.unknown
        for key, rows in self.naive.held.items():
            assert Fraction(self.lots.quantity(*key)) == sum(row[0] for row in rows)


def main(steps: int, seed: int) -> None:
    walk = Walk(seed)
    for number in range(steps):
        walk.step()
        if number % 1_000 == 0:
            walk.check()
    walk.check()
    told = f"{steps} steps, seed {seed}: {len(walk.closings)} closings, all as recomputed"
    sys.stdout.write(told + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1)
