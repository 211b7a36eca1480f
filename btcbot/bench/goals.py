"""The goals G1, G4, G6, G8 and their yardsticks."""

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from btcbot import backtest
from btcbot.bench import nautilus
from btcbot.bench.pairs import BenchError, Figure, in_pairs, percentile
from btcbot.bench.stage import committing, submitting
from btcbot.domain.ids import Asset, Pair, intent_id
from btcbot.domain.messages import ApprovedOrder, OrderIntent
from btcbot.domain.money import Price, Quantity
from btcbot.domain.recorded import Quoted
from btcbot.domain.words import Side
from btcbot.portfolio.budget import PlanLimits
from btcbot.sim.setup import LOOSE
from btcbot.strategies import ema_cross

OURS = ("execution", "risk_gate", "strategy", "source")
OURS_COMMITTING = ("committing", "risk_gate", "strategy", "source")
RAW = ("raw_last", "raw_2", "raw_1", "raw_source")
RAW_COMMITTING = ("raw_commit", "raw_2", "raw_1", "raw_source")
WAIT_S = 60.0
ORDERS_LEAST = 0.9  # Of the ticks; a machine that stalls more often measures itself.
COMMITS = 1_000
QUOTES = 200_000


def tick_to_order(pairs: int) -> Figure:
    """G1: tick to order decoded at execution, p50, four processes, 1000 a second."""
    ratios, ours, raw = in_pairs(
        pairs, lambda: _chain(OURS, 3_000, 1_000), lambda: _chain(RAW, 3_000, 1_000)
    )
    return Figure(
        name="G1", what="tick to order at execution, p50", ratios=ratios, ours=ours,
        yardstick=raw, unit="us", limit=1.5,
    )  # fmt: skip


def tick_to_commit(pairs: int) -> Figure:
    """G6: tick to intent committed, p50, 200 a second, against a bare chain and a bare commit."""
    ratios, ours, raw = in_pairs(
        pairs,
        lambda: _chain(OURS_COMMITTING, 800, 200),
        lambda: _chain(RAW_COMMITTING, 800, 200),
    )
    return Figure(
        name="G6", what="tick to intent committed, p50", ratios=ratios, ours=ours,
        yardstick=raw, unit="us", limit=1.6,
    )  # fmt: skip


def durable_commits(pairs: int) -> Figure:
    """G4: durable commits of one intent a second, against 4 KiB appended and fdatasync'ed."""
    ratios, ours, raw = in_pairs(pairs, _commits, _appends)
    return Figure(
        name="G4", what="single-intent durable commits", ratios=ratios, ours=ours,
        yardstick=raw, unit="commits/s", limit=0.6, is_floor=True,
    )  # fmt: skip


def backtest_quotes(pairs: int, python: Path | None, *, has_codec: bool) -> Figure:
    """G8 and G8c: quotes a second through the real actors, EMA 200/1000, matching included.

    The yardstick is NautilusTrader's Python strategy on the same quotes, where `python` has it;
    else the same rule in a bare loop, which is reported and not judged.
    """
    quotes = list(made_quotes(QUOTES))

    def ours() -> float:
        return _quotes_a_second(quotes, has_codec=has_codec)

    def yardstick() -> float:
        return nautilus.quotes_a_second(python, QUOTES) if python else _bare_loop(quotes)

    ratios, mine, theirs = in_pairs(pairs, ours, yardstick)
    least = 0.8 if has_codec else 2.0
    against = "NautilusTrader" if python else "a bare loop"
    return Figure(
        name="G8c" if has_codec else "G8",
        what=f"backtest quotes against {against}{', codec on' if has_codec else ''}",
        ratios=ratios, ours=mine, yardstick=theirs, unit="quotes/s",
        limit=least if python else None, is_floor=True,
    )  # fmt: skip


def made_quotes(count: int, seed: int = 7) -> Iterator[Quoted]:
    """Yield ten quotes a second of a random walk around 50,000; the same for the same seed."""
    draw, middle = random.Random(seed), 5_000_000
    for n in range(count):
        middle += draw.randint(-3, 3)
        half = draw.randint(1, 5)
        yield Quoted(
            1_700_000_000_000_000_000 + n * 100_000_000,
            Price(Decimal(middle - half) / 100 // 1),
            Quantity(Decimal(draw.randint(1, 1_999)) / 1_000),
            Price(Decimal(middle + half) / 100 // 1 + 1),
            Quantity(Decimal(draw.randint(1, 1_999)) / 1_000),
        )


# --- inside -----------------------------------------------------------------------------------


def quotes_plan(*, has_codec: bool) -> backtest.Plan:
    """Return the run that is measured: every quote is decided on, and no limit is in the way."""
    return backtest.Plan(
        strategy="ema_cross",
        caps=PlanLimits(
            cash_reserve=Decimal(0), position_max=Decimal(10**9), exposure_max=Decimal(10**9),
            cycle_max=Decimal(10**9), order_max=Decimal(10**9),
        ),
        params=ema_cross.Params(fast=200, slow=1_000, quantity=Decimal("0.1")),
        pair=Pair("BTCTRY"),
        limits=replace(LOOSE, price_collar_bps=Decimal(100), book_age_max_ms=2_000),
        balances={Asset("TRY"): Decimal(10_000_000), Asset("BTC"): Decimal(100)},
        interval_ns=0,
        has_codec=has_codec,
    )  # fmt: skip


def _quotes_a_second(quotes: list[Quoted], *, has_codec: bool) -> float:
    stage = backtest.Stage(quotes_plan(has_codec=has_codec), quotes[0].at_ns)
    began = time.perf_counter()
    stage.play(iter(quotes))
    return len(quotes) / (time.perf_counter() - began)


def _bare_loop(quotes: list[Quoted]) -> float:
    fast = slow = float(quotes[0].bid + quotes[0].ask) / 2
    crosses, was_above = 0, False
    began = time.perf_counter()
    for quote in quotes:
        middle = float(quote.bid + quote.ask) * 0.5
        fast += 2 / 201 * (middle - fast)
        slow += 2 / 1_001 * (middle - slow)
        if (fast > slow) is not was_above:
            was_above, crosses = not was_above, crosses + 1
    return len(quotes) / (time.perf_counter() - began)


def _commits() -> float:
    with scratch() as folder:
        writer = committing(folder / "bench.db")
        facts = [_fact(n) for n in range(COMMITS)]
        began = time.perf_counter()
        for fact in facts:
            writer.commit((fact,), writer.head + 1)
        took = time.perf_counter() - began
        writer.close()
    return COMMITS / took


def _fact(number: int) -> Any:  # noqa: ANN401 - an OrderSubmitting
    intent = OrderIntent(
        intent_id=intent_id("bench", 1, number, 0), strategy="bench", slot=f"bench:{number}",
        pair=Pair("BTCTRY"), side=Side.BUY, quantity=Quantity(Decimal("0.0001")),
        limit_price=Price(Decimal(4_000_000)), reason="bench", seen_ns=1, decided_ns=1,
        expires_ns=2,
    )  # fmt: skip
    return submitting(ApprovedOrder(intent=intent, approved_ns=1), number, number)


def _appends() -> float:
    page = b"x" * 4_096
    with scratch() as folder:
        descriptor = os.open(folder / "raw", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        began = time.perf_counter()
        for _ in range(COMMITS):
            os.write(descriptor, page)
            os.fdatasync(descriptor)
        took = time.perf_counter() - began
        os.close(descriptor)
    return COMMITS / took


def _chain(roles: tuple[str, ...], count: int, rate: int) -> float:
    """Run four processes; return the median time of a tick through all of them, in us."""
    with scratch() as folder:
        (folder / "run").mkdir(mode=0o700)
        # They work inside the folder: paths of sockets are short, however deep it lies.
        arguments = [".", str(count), str(rate), str(os.getpid())]
        processes = {
            role: subprocess.Popen(
                [sys.executable, "-m", "btcbot.bench.stage", role, *arguments],
                cwd=folder,
                umask=0o077,
            )
            for role in roles
        }
        try:
            taken = _awaited(folder / "taken.json", processes)
            if len(taken) < count * ORDERS_LEAST:
                why = (folder / "taken.refused").read_text()
                raise BenchError(f"only {len(taken)} of {count} ticks became orders: {why}")
        finally:
            for process in processes.values():
                process.terminate()
            for process in processes.values():
                process.wait(5)
    return percentile(taken, 0.5) / 1_000


def _awaited(path: Path, processes: Mapping[str, "subprocess.Popen[bytes]"]) -> list[int]:
    """Return what the last process of a chain wrote. Raises BenchError when it cannot come."""
    give_up = time.monotonic() + WAIT_S
    while time.monotonic() < give_up:
        if path.exists() and path.stat().st_size:
            time.sleep(0.1)
            return msgspec.json.decode(path.read_bytes(), type=list[int])
        if dead := [role for role, process in processes.items() if process.poll()]:
            raise BenchError(f"{', '.join(dead)} of the chain died; its error is above")
        time.sleep(0.05)
    refused = path.with_suffix(".refused")
    why = refused.read_text() if refused.exists() else "no process said why"
    raise BenchError(f"the chain did not finish within {WAIT_S:.0f} s: {why}")


@contextmanager
def scratch() -> Iterator[Path]:
    """Give a folder on this disk that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="btcbot-bench-", dir=Path.cwd()) as name:
        yield Path(name)
