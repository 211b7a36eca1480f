"""`btcbot record`: keep what the exchange says in public, byte for byte; trade nothing."""

import asyncio
import difflib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import msgspec
from msgspec import Struct

from btcbot.catalog.segments import Acknowledged
from btcbot.cli import exits
from btcbot.cli.common import Options, common, stop
from btcbot.cli.fleet import make_folders
from btcbot.cli.progress import say_over
from btcbot.config import Config
from btcbot.domain.feed import (
    BookChange,
    BookSnapshot,
    FeedDown,
    FeedTrouble,
    FeedUp,
    Join,
    ReadRules,
    RulesRead,
)
from btcbot.domain.ids import Pair
from btcbot.domain.messages import Message

if TYPE_CHECKING:
    from btcbot.catalog.capture import Capture

WRITER: Final = "record"
REJOIN_S: Final = 2.0
TELL_S: Final = 10.0  # Where nobody looks on; a terminal is told every second.
log = logging.getLogger("btcbot.record")


class Kept(Struct, frozen=True):
    """One line of --json: `records` of `segment` are safe from any death of this process."""

    segment: str
    size: int
    records: int


@click.command("record")
@common
def command(options: Options) -> None:
    """Record the public channels of the configured pairs until Ctrl-C; needs no key.

    Kept as segments under HOME/data/raw/record: obdiff and trade of each pair, ticker of all, and
    the instrument rules. In mode dry_run the exchange is BTCTurk itself. With --json every flush is
    a line on stdout: the segment, its size and how many records are safe in it.

    Exit 75: another recorder has this home. Exit 1: something could not be kept, and what.
    """
    from bus.runtime import run_on_loop
    from bus.zeromq import Locked, lock

    config = options.load().config
    os.umask(0o077)
    make_folders(config)
    try:
        held = lock(config.run / "record.lock")
    except Locked:
        stop(exits.TRY_LATER, f"btcbot: another recorder has {config.home}; choose another --home")
    log_to_stderr(config, options)
    options.note(f"btcbot: recording {', '.join(config.pairs)} from {config.addresses.ws}")
    lost: list[str] = []
    run_on_loop(record(config, options, config.raw, lost.append))
    os.close(held)
    if lost:
        stop(exits.ERROR, f"btcbot: {lost[0]}")


class Recorder:
    """Watches what is captured: joins again where a book would have a hole, knows what to tell.

    Pure but for `start`: nothing it does changes what is kept.
    """

    def __init__(self, pairs: tuple[Pair, ...], monotonic: Callable[[], float]) -> None:
        self._pairs, self._monotonic = pairs, monotonic
        self._change_sets: dict[Pair, int] = {}
        self._joined_s: dict[Pair, float] = {}
        self._segment = ""
        self.start: Callable[[Struct], None] = lambda _effect: None
        self.session = 0
        self.is_up = False

    def begin(self) -> None:
        """Join every pair and read the rules: a recording without them can hardly be used."""
        for pair in self._pairs:
            self._join(pair)
        self.start(ReadRules())

    def flushed(self, done: tuple[Acknowledged, ...]) -> None:
        """Begin each segment with whole books and the rules, so that it can be used alone."""
        newest = done[-1].segment.name
        if self._segment not in {"", newest}:
            self.begin()
        self._segment = newest

    def deliver(self, message: Message) -> None:
        """Take what the feed understood of a frame that is kept already."""
        match message:
            case BookChange():
                self._changed(message)
            case BookSnapshot():
                self._change_sets[message.pair] = message.change_set
            case FeedUp():
                self.session, self.is_up = message.session, True
                self._change_sets.clear()
            case FeedDown():
                self.is_up = False
                log.warning("feed_down", extra={"error": message.reason})
            case FeedTrouble():
                log.warning("feed_trouble", extra={"error": f"{message.what}: {message.detail}"})
            case RulesRead():
                self._look_for_pairs([rules.pair for rules in message.instruments])
            case _:
                pass

    def _changed(self, change: BookChange) -> None:
        last = self._change_sets.get(change.pair)
        is_hole = last is not None and change.change_set > last + 1
        if is_hole and self._monotonic() - self._joined_s.get(change.pair, 0) > REJOIN_S:
            log.warning("book_hole", extra={"pair": change.pair, "error": f"after {last}"})
            self._join(change.pair)
        if not is_hole:
            self._change_sets[change.pair] = max(change.change_set, last or 0)

    def _join(self, pair: Pair) -> None:
        self._joined_s[pair] = self._monotonic()
        self.start(Join(pair))

    def _look_for_pairs(self, known: list[Pair]) -> None:
        for pair in self._pairs:
            if pair not in known:
                near = difflib.get_close_matches(pair, known, n=3)
                hint = f"; did you mean {', '.join(near)}?" if near else ""
                log.error("unknown_pair", extra={"error": f"no pair {pair}{hint}"})


async def record(
    config: Config,
    options: Options,
    root: Path,
    fail: Callable[[str], None],
    lasting_s: float | None = None,
) -> None:
    """Record under `root` until told to end, or for so long; `fail` hears what was lost, if any."""
    from btcbot.btcturk.feed import BtcturkFeed
    from btcbot.catalog.capture import Capture
    from bus.clock import SystemClock

    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    if lasting_s is not None:
        asyncio.get_running_loop().call_later(lasting_s, ended.set)
    clock = SystemClock()
    recorder = Recorder(config.pairs, time.monotonic)

    def flushed(done: tuple[Acknowledged, ...]) -> None:
        recorder.flushed(done)
        if options.is_json:
            try:
                _print_lines(done)
            except BrokenPipeError:  # Who wanted the lines has gone.
                ended.set()

    capture = Capture(root, WRITER, config.capture, clock, on_flush=flushed)
    addresses = config.addresses
    feed = BtcturkFeed(
        addresses.rest, addresses.ws, recorder.deliver, clock.monotonic_ns, hear=capture
    )
    recorder.start = feed.start
    recorder.begin()
    telling = asyncio.create_task(_tell(recorder, capture, options))
    try:
        await ended.wait()
    finally:
        telling.cancel()
        await feed.close()
        capture.close()
    recorder.is_up = False
    say_over(_progress(recorder, capture), options)
    if capture.lost:
        fail(
            f"{capture.lost} frames could not be kept; the last trouble was: {capture.last_trouble}"
        )


async def _tell(recorder: Recorder, capture: "Capture", options: Options) -> None:
    """Say on stderr how it goes: one line that is written over, or a line now and then."""
    while True:
        await asyncio.sleep(1.0 if sys.stderr.isatty() else TELL_S)
        say_over(_progress(recorder, capture), options, is_last=False)


def _progress(recorder: Recorder, capture: "Capture") -> str:
    link = f"session {recorder.session}" if recorder.is_up else "not connected"
    segment = capture.path.name if capture.path else "no segment open"
    state = f"STOPPED: {capture.trouble}" if capture.trouble else segment
    return f"record: {link}, {capture.kept:,} kept, {capture.lost:,} lost, {state}"


def _print_lines(done: tuple[Acknowledged, ...]) -> None:
    lines = (Kept(str(one.segment), one.size, one.records) for one in done)
    os.write(sys.stdout.fileno(), b"".join(msgspec.json.encode(line) + b"\n" for line in lines))


def log_to_stderr(config: Config, options: Options) -> None:
    from btcbot import logs

    level = "error" if options.verbosity < 0 else config.log.level
    run_id = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()) + f"-{os.getpid()}"
    logs.configure(WRITER, run_id=run_id, mode=config.mode, level=level)
