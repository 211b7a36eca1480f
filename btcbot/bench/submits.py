"""What a submit costs before its POST may start: the hard gate, the intent, and a durable commit.

A real desk judges approved orders and commits each to SQLite on this disk, in virtual time; the
exchange model fills them between. The yardstick is 4 KiB appended and fdatasync'ed.
"""

import os
import time
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from btcbot import backtest
from btcbot.bench.goals import made_quotes, quotes_plan, scratch
from btcbot.bench.pairs import BenchError, Figure, in_pairs, percentile
from btcbot.domain.ids import intent_id
from btcbot.domain.messages import ApprovedOrder, OrderIntent
from btcbot.domain.money import Price, Quantity, ceil_to
from btcbot.domain.words import Side

SUBMITS: Final = 400
WARM_QUOTES: Final = 100  # Ten seconds: everything that a desk must know first is read.
QUOTES_A_SUBMIT: Final = 20  # Two seconds, so that the orders of a minute stay within the limit.
GOOD_NS: Final = 60_000_000_000


def submit(pairs: int, part: float, limit: float) -> Figure:
    """Return the `part` quantile of a submit's cost against that of a bare durable append."""

    def quantile(times: Callable[[], list[int]]) -> float:
        return percentile(times(), part) / 1_000

    ratios, ours, raw = in_pairs(pairs, partial(quantile, _submits), partial(quantile, _appends))
    name = f"submit-p{part * 100:.0f}"
    return Figure(
        name=name, what="judged and committed, before the POST", ratios=ratios, ours=ours,
        yardstick=raw, unit="us", limit=limit,
    )  # fmt: skip


def _submits() -> list[int]:
    """Return how long each submit took until its POST was started, in ns."""
    quotes = list(made_quotes(WARM_QUOTES + SUBMITS * QUOTES_A_SUBMIT))
    rest = iter(quotes)
    with scratch() as where:
        # A strategy that never crosses: what is submitted is ours alone.
        plan = quotes_plan(has_codec=False)
        plan = replace(plan, params=replace(plan.params, fast=len(quotes), slow=2 * len(quotes)))
        stage = backtest.Stage(plan, quotes[0].at_ns, database=str(where / "bench.db"))
        stage.follow(islice(rest, WARM_QUOTES))
        taken = []
        for number in range(SUBMITS):
            taken.append(_one(stage, number))
            stage.follow(islice(rest, QUOTES_A_SUBMIT))
        result = stage.result(0, 0)
        made, refused = len(result.orders), result.refusals
        stage.journal.close()
    if made != SUBMITS:
        raise BenchError(f"only {made} of {SUBMITS} orders were submitted: {refused}")
    return taken


def _one(stage: backtest.Stage, number: int) -> int:
    now_ns = stage.clock.now_ns()
    mark = stage.bus.state("execution").marks[stage.plan.pair]
    price = Price(ceil_to(mark.ask, stage.plan.instrument.tick))
    wanted = OrderIntent(
        intent_id=intent_id("bench", 2, number, 0), strategy="bench", slot=f"bench:{number}",
        pair=mark.pair, side=Side.BUY, quantity=Quantity(Decimal("0.1")), limit_price=price,
        reason="bench", seen_ns=now_ns, decided_ns=now_ns, expires_ns=now_ns + GOOD_NS,
    )  # fmt: skip
    approved = ApprovedOrder(intent=wanted, approved_ns=now_ns)
    began_ns = time.perf_counter_ns()
    stage.bus.ask("execution", wanted.intent_id, approved)
    stage.bus.run()
    return time.perf_counter_ns() - began_ns


def _appends() -> list[int]:
    """Return how long each of as many durable appends took, in ns."""
    page, taken = b"x" * 4_096, []
    with scratch() as where:
        descriptor = _opened(where / "raw")
        for _ in range(SUBMITS):
            began_ns = time.perf_counter_ns()
            os.write(descriptor, page)
            os.fdatasync(descriptor)
            taken.append(time.perf_counter_ns() - began_ns)
        os.close(descriptor)
    return taken


def _opened(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
