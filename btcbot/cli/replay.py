"""`btcbot replay`: a recorded day through today's code, and the first message that differs."""

import time
from datetime import UTC, datetime
from typing import Any, Final

import click
import msgspec

from btcbot.cli import exits
from btcbot.cli.common import Options, common, print_json, print_table, stop
from btcbot.cli.times import day_span, moment_ns
from btcbot.config import Config, thaw
from btcbot.layers import ConfigError
from btcbot.replay.heard import facts_said
from btcbot.replay.lives import ACTORS
from btcbot.replay.verify import Difference, Replayed, first_of
from btcbot.replay.verify import replay as replayed
from bus.journal import JournalError

COLUMNS: Final = (
    "actor",
    "lives",
    "other_code",
    "handled",
    "said",
    "compared",
    "unrecorded",
    "differences",
)


@click.command("replay")
@click.argument("day")
@click.option("--verify", is_flag=True, help="Exit 7 at any difference.")
@click.option("--actor", "only", type=click.Choice(ACTORS), help="Only this one, and its state.")
@click.option("--until", default="", metavar="TIME", help="UTC: stop there.")
@common
def command(options: Options, *, day: str, verify: bool, only: str | None, until: str) -> None:
    """Run every actor's recorded inbox of DAY (UTC, 2026-11-24) through today's code.

    Each message it says is compared with what the others heard, each fact with the log, each state
    with the next segment's. With --actor its state at the end is shown too: with --until, of that
    moment. The configuration is that of the last `btcbot up` on this home; model answers are those
    on record. Nothing is sent or written; the fleet may run. Exit 4: nothing is on record.

    With --verify, exit 7: something differs, and the first of it with what led to it.
    """
    config = config_of(options)
    from_ns, until_ns = span_of(day, until)
    began_s = time.monotonic()
    try:
        facts = facts_of(config) if only in (None, "execution") else {}
        names = ACTORS if only is None else (only,)
        states = {}
        found = []
        for name in names:
            told, states[name] = replayed(name, config, from_ns, until_ns, facts)
            found.append(told)
    except JournalError as error:
        stop(exits.PROBLEM, f"btcbot: {error}; the rest of that life cannot be trusted: move the"
             " segment away to replay the others")  # fmt: skip
    if not any(told.lives for told in found):
        stop(exits.NOT_FOUND, f"btcbot: no journal of {day} in {config.journal}")
    took_s = time.monotonic() - began_s
    first = first_of(iter(found))
    _show(options, day, found, first, took_s)
    if only is not None:
        print_json(msgspec.to_builtins(states[only], enc_hook=str))
    if first is not None and verify:
        stop(exits.PROBLEM, f"btcbot: {first.actor} differs: {first.what}")


def config_of(options: Options) -> Config:
    """Return the configuration that the fleet ran with last, else the files'."""
    config = options.load().config
    try:
        return thaw(config.run / "config.json")[0]
    except ConfigError:
        return config


def span_of(day: str, until: str = "") -> tuple[int, int]:
    """Return the begin of a UTC day and its end, or `until` if that is sooner, in ns."""
    from_ns, end_ns = day_span("DAY", day)
    return from_ns, min(moment_ns("--until", until), end_ns) if until else end_ns


def facts_of(config: Config) -> dict[int, bytes]:
    """Return a digest of every fact in the log; none where there is no database."""
    from btcbot.domain.facts import FACTS
    from btcbot.store.database import StoreError
    from btcbot.store.queries import History

    kinds = tuple(str(kind.__struct_config__.tag) for kind in FACTS)
    try:
        return dict(facts_said(History(config.database).facts(kinds)))
    except StoreError:
        return {}


def _show(
    options: Options, day: str, found: list[Replayed], first: Difference | None, took_s: float
) -> None:
    span_s = max(told.span_ns for told in found) / 1e9
    shown: dict[str, Any] = {
        "day": day,
        "actors": [
            {
                "actor": told.actor, "lives": told.lives, "other_code": told.other_code,
                "handled": told.handled,
                "said": told.said, "compared": told.compared, "unrecorded": told.unrecorded,
                "differences": len(told.differences),
            }
            for told in found
        ],
        "recorded_s": round(span_s, 1),
        "took_s": round(took_s, 2),
        "times_real_time": round(span_s / took_s, 1) if took_s else None,
        "first": None if first is None else as_row(first),
    }  # fmt: skip
    options.show(shown, lambda: _print(options, shown))


def as_row(first: Difference) -> dict[str, Any]:
    """Return a difference as the JSON shapes have it."""
    return {
        "actor": first.actor,
        "utc": datetime.fromtimestamp(first.at_ns / 1e9, UTC).isoformat(),
        "what": first.what,
        "recorded": first.recorded,
        "today": first.today,
        "chain": list(first.chain),
    }


def _print(options: Options, shown: dict[str, Any]) -> None:
    print_table(options, COLUMNS, [tuple(row.values()) for row in shown["actors"]])
    click.echo(f"\n{shown['recorded_s']} s in {shown['took_s']} s: {shown['times_real_time']} times"
               " real time")  # fmt: skip
    first = shown["first"]
    if first is None:
        click.echo("no difference")
        return
    click.echo(f"first difference: {first['actor']} at {first['utc']}: {first['what']}")
    click.echo(f"  recorded: {first['recorded']}")
    click.echo(f"  today:    {first['today']}")
    for step in first["chain"]:
        click.echo(f"  because:  {step}")
