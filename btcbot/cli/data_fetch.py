"""`btcbot data fetch`: what the exchange tells of the past, into a data set."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import click
from msgspec import Struct

from btcbot.cli import exits
from btcbot.cli.common import Options, common, stop
from btcbot.domain.ids import Pair

if TYPE_CHECKING:
    from btcbot.btcturk.history import ExchangeHistory
    from btcbot.catalog.intervals import Span
    from btcbot.catalog.manifest import Manifest
    from btcbot.catalog.writer import Writer

MINUTE_NS: Final = 60_000_000_000
DAY_NS: Final = 1_440 * MINUTE_NS


class Job(Struct, frozen=True):
    """What is asked for."""

    pairs: tuple[Pair, ...]
    minutes: int
    span: tuple[int, int]


@click.command("fetch")
@click.argument("name")
@click.option("--pairs", default="", metavar="PAIR[,PAIR...]", help="Default: those configured.")
@click.option("--minutes", default="1", show_default=True, help="Of a candle.",
              type=click.Choice(("1", "15", "30", "60", "240")))  # fmt: skip
@click.option("--days", default=1.0, show_default=True, type=click.FloatRange(0.001, 3_660),
              help="How far back from now.")  # fmt: skip
@click.option("--timerange", default="", metavar="20260101-20260301", help="Instead: UTC days.")
@common
def command(
    options: Options, *, name: str, pairs: str, minutes: str, days: float, timerange: str
) -> None:
    """Fetch candles of a time range, and the last public trades, into the data set NAME.

    Asks the configured exchange over REST, within its limits, only for what is missing: a fetch
    that was interrupted goes on where it ended, and what was recorded live is never replaced. Rows
    are marked as backfill. Exit 3: the exchange could not be reached or gave no sense; what came
    before that is kept.
    """
    from btcbot.btcturk.grammar import WireError
    from btcbot.btcturk.rest import RestError
    from btcbot.catalog.rows import Provenance
    from btcbot.cli.data_sets import told, writing
    from btcbot.cli.times import timerange_span

    config = options.load().config
    now_ns = time.time_ns()
    span = timerange_span(timerange) or (now_ns - round(days * DAY_NS), now_ns)
    chosen = tuple(Pair(pair.upper()) for pair in pairs.split(",") if pair) or config.pairs
    # A candle that is still running is no candle yet.
    job = Job(chosen, int(minutes), (span[0], min(span[1], now_ns)))
    with told(), writing(options, name, Provenance.BACKFILL) as (writer, manifest, _folder):
        try:
            counts = asyncio.run(_fetch(options, job, writer, manifest))
        except (RestError, WireError) as error:
            said = f"{writer.rows:,} rows were kept; the same command goes on from there"
            stop(exits.NOT_RUNNING, f"btcbot: {error}\nbtcbot: {said}")
    summary = {"name": name, **counts, "known_already": writer.dropped}
    options.show(
        summary,
        lambda: click.echo(f"{name}: {counts['candles']:,} candles, {counts['trades']:,} trades"),
    )


async def _fetch(
    options: Options, job: Job, writer: "Writer", manifest: "Manifest"
) -> dict[str, Any]:
    from btcbot.btcturk.history import CANDLES_MAX, ExchangeHistory
    from btcbot.btcturk.rest import Rest
    from btcbot.catalog.backfill import pages, wanted
    from btcbot.cli.data_sets import progress

    addresses = options.load().config.addresses
    rest = Rest(addresses.rest, time.monotonic_ns)
    chart = Rest(addresses.graph, time.monotonic_ns)
    history = ExchangeHistory(rest, chart)
    span_ns = job.minutes * MINUTE_NS
    todo = [
        (pair, page)
        for pair in job.pairs
        for hole in wanted(manifest, pair, job.span)
        for page in pages(hole, span_ns, CANDLES_MAX)
    ]
    try:
        with progress(options, "fetching", len(todo) + len(job.pairs)) as tell:
            candles = await _candles(history, job, todo, writer, tell)
            trades = await _trades(history, job, writer, tell)
    finally:
        await rest.close()
        await chart.close()
    return {"candles": candles, "trades": trades, "requests": len(todo) + len(job.pairs)}


async def _candles(
    history: "ExchangeHistory",
    job: Job,
    todo: "Sequence[tuple[Pair, Span]]",
    writer: "Writer",
    tell: Callable[[int], None],
) -> int:
    """Ask for every page; what an answer brought is on the disk before the next is asked for."""
    from btcbot.catalog.backfill import SECOND_NS, add_candles

    count = 0
    for pair, page in todo:
        answer = await history.candles(
            pair, job.minutes, page[0] // SECOND_NS, page[1] // SECOND_NS
        )
        count += add_candles(writer, pair, page, job.minutes * MINUTE_NS, answer)
        writer.commit()
        tell(1)
    return count


async def _trades(
    history: "ExchangeHistory", job: Job, writer: "Writer", tell: Callable[[int], None]
) -> int:
    from btcbot.btcturk.history import TRADES_MAX
    from btcbot.catalog.backfill import add_trades

    before = writer.rows
    for pair in job.pairs:
        add_trades(writer, pair, await history.trades(pair), TRADES_MAX)
        writer.commit()
        tell(1)
    return writer.rows - before
