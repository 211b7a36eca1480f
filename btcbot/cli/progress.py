"""How far something long is, on a terminal: one line on stderr that is written over."""

import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Final, TypeVar

import click

from btcbot.cli.common import Options
from btcbot.domain.recorded import Happening

EVERY_S: Final = 1.0
LOOK: Final = 256  # Events between two looks at the clock: it costs as much as an event's way.
E = TypeVar("E", bound=Happening)


def say_over(text: str, options: Options, *, is_last: bool = True) -> None:
    """Say `text`; on a terminal it takes the place of what was said before."""
    if sys.stderr.isatty() and options.verbosity >= 0:
        click.echo(f"\r\x1b[K{text}", err=True, nl=is_last)
    else:
        options.note(text)


def followed(
    events: Iterator[E], say: Callable[[str], None], monotonic_s: Callable[[], float]
) -> Iterator[E]:
    """Yield `events`; say about once a second up to when they are played."""
    due_s = monotonic_s() + EVERY_S
    for number, event in enumerate(events, 1):
        yield event
        if not number % LOOK and monotonic_s() >= due_s:
            due_s = monotonic_s() + EVERY_S
            at = datetime.fromtimestamp(event.at_ns // 10**9, UTC)
            say(f"backtest: up to {at:%Y-%m-%d %H:%M}")
