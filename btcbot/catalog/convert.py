"""Raw segments into rows: what the exchange said live, read by the parser that read it live.

What is kept is all that a market is made of: books (snapshots and changes) and trades of each pair,
and the rules that the exchange stated. Other frames are the pulse that tells silence from quiet: a
pair is covered from its first snapshot (books) or list of trades for as long as frames of any kind
keep coming.
"""

from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from btcbot.btcturk import public_frames, rules
from btcbot.btcturk.grammar import WireError
from btcbot.catalog.dataset import Busy, locked
from btcbot.catalog.importing import Tell
from btcbot.catalog.intervals import Gap
from btcbot.catalog.manifest import Cursor, Manifest, load
from btcbot.catalog.rows import Cause, Channel, Depth, Provenance, Trade
from btcbot.catalog.segments import Captured, Opening, blocks, segments
from btcbot.catalog.writer import Writer
from btcbot.domain.feed import (
    BookChange,
    BookSnapshot,
    SeenTrade,
    TextLevel,
    TradesSeen,
    WireLevel,
)
from btcbot.domain.ids import Pair
from btcbot.domain.instruments import Instrument
from btcbot.domain.messages import Message

PUBLIC: Final = "ws.public"
EXCHANGE_INFO: Final = "rest GET /api/v2/server/exchangeinfo"
RAW: Final = Path("raw", "record")  # Where a capture into a data set keeps what it hears.
SILENCE_NS: Final = 5_000_000_000  # The pulse (ticker of all pairs) comes every 0.76 s.
Place = tuple[Channel, Pair]


class Outcome(Struct):
    """What came of a conversion besides rows."""

    records: int = 0
    refused: int = 0  # Frames that the parser would not have.
    rules: tuple[Instrument, ...] = ()


class Converter:
    """Turns the records of one writer, in their order, into rows, coverage and explained gaps."""

    def __init__(self, writer: Writer, cursor: Cursor | None = None) -> None:
        """`cursor`: where an earlier conversion ended; this one goes on as if it were the same."""
        cursor = cursor or Cursor()
        self._writer = writer
        self._life_ns, self._number = cursor.life_ns, cursor.number
        self._session = cursor.session
        self._heard_ns = cursor.heard_ns
        # What was heard by then is covered, and would be dropped: time goes on right after it.
        self._first_ns = cursor.heard_ns + 1
        self._change_sets = dict(cursor.change_sets)
        self._trade_ids = dict(cursor.trade_ids)
        self._since: dict[Place, int] = dict.fromkeys(cursor.covered, self._first_ns)
        self._ended: dict[Place, int] = {
            (row.channel, row.pair): row.from_ns for row in cursor.open_gaps
        }
        self._causes: dict[Place, tuple[Cause, str]] = {
            (row.channel, row.pair): (row.cause, row.detail) for row in cursor.open_gaps
        }
        self.outcome = Outcome()

    def open(self, opening: Opening) -> None:
        """Begin the next segment."""
        if self._life_ns and opening.life_ns != self._life_ns:
            self._break(Cause.RECORDER_DOWN, "")
        elif opening.lost:
            self._break(Cause.RECORDER_LOST, f"{opening.lost} records")
        elif self._life_ns and opening.number != self._number + 1:
            missing = opening.number - self._number - 1
            self._break(Cause.RECORDER_LOST, f"{missing} segments are not there any more")
        self._life_ns, self._number = opening.life_ns, opening.number

    def damage(self) -> None:
        """Pass over records that cannot be read."""
        self._break(Cause.RECORDER_LOST, "a segment is damaged")

    def take(self, heard: Captured) -> None:
        """Take the next record."""
        self.outcome.records += 1
        if heard.source == PUBLIC:
            self._frame(heard)
        elif heard.source == EXCHANGE_INFO:
            self._rules(heard.payload)

    def end(self, segment: str, records: int, size: int) -> Cursor:
        """Cover what was heard so far; return where the next conversion goes on."""
        gaps = []
        for place, start in self._since.items():
            self._cover(place, start, self._heard_ns + 1)
        for (channel, pair), from_ns in self._ended.items():
            cause, detail = self._causes[channel, pair]
            gaps.append(
                Gap(
                    channel=channel,
                    pair=pair,
                    from_ns=from_ns,
                    to_ns=self._heard_ns + 1,
                    cause=cause,
                    detail=detail,
                )
            )
        return Cursor(
            segment=segment,
            records=records,
            size=size,
            life_ns=self._life_ns,
            number=self._number,
            session=self._session,
            heard_ns=self._heard_ns,
            change_sets=self._change_sets,
            trade_ids=self._trade_ids,
            covered=tuple(self._since),
            open_gaps=tuple(gaps),
        )

    def _frame(self, heard: Captured) -> None:
        # A clock that is set back would put rows before others that were heard earlier.
        at_ns = max(heard.received_ns, self._heard_ns, self._first_ns)
        if heard.session != self._session:
            if self._session and self._since:
                self._break(Cause.DISCONNECTED, "")
            self._session = heard.session
        elif self._heard_ns and at_ns - self._heard_ns > SILENCE_NS:
            self._silence(at_ns)
        try:
            self._said(public_frames.read(heard.payload, ())[1], at_ns)
        except WireError:
            self.outcome.refused += 1
        self._heard_ns = at_ns

    def _said(self, message: Message | None, at_ns: int) -> None:
        match message:
            case BookChange():
                self._changed(message, at_ns)
            case TradesSeen():
                self._traded(message, at_ns)
            case BookSnapshot():
                self._began(message, at_ns)
            case _:
                pass

    def _began(self, book: BookSnapshot, at_ns: int) -> None:
        place = (Channel.DEPTH, book.pair)
        if self._change_sets.get(book.pair, book.change_set) != book.change_set:
            self._stop(place, Cause.REJOINED, "")
        self._change_sets[book.pair] = book.change_set
        self._resume(place, at_ns)
        self._book(book, at_ns)

    def _changed(self, change: BookChange, at_ns: int) -> None:
        last = self._change_sets.get(change.pair)
        if last is None or change.change_set <= last:
            return  # No snapshot yet, or had it already.
        if change.change_set > last + 1:
            del self._change_sets[change.pair]
            missing = f"changes {last + 1} to {change.change_set - 1} are missing"
            self._stop((Channel.DEPTH, change.pair), Cause.UNKNOWN, missing)
            return
        self._change_sets[change.pair] = change.change_set
        self._book(change, at_ns)

    def _book(self, book: BookChange | BookSnapshot, at_ns: int) -> None:
        self._writer.add(
            book.pair,
            Depth(
                at_ns=at_ns,
                first=book.change_set,
                last=book.change_set,
                is_snapshot=type(book) is BookSnapshot,
                bids=_levels(book.bids),
                asks=_levels(book.asks),
            ),
        )

    def _traded(self, seen: TradesSeen, at_ns: int) -> None:
        """Take trades, each once. A list that reaches back to one we have heals a gap."""
        last = self._trade_ids.get(seen.pair)
        place = (Channel.TRADES, seen.pair)
        fresh = [row for row in seen.trades if last is None or row.trade_id > last]
        if seen.trades:
            self._trade_ids[seen.pair] = max(last or 0, seen.trades[-1].trade_id)
        if seen.is_backlog and place not in self._since:
            is_healed = last is not None and any(row.trade_id <= last for row in seen.trades)
            if is_healed and place in self._ended:
                self._since[place] = self._ended.pop(place)
                self._causes.pop(place)
            if last is None:
                fresh = []  # From before anybody listened.
        self._resume(place, at_ns)
        for row in fresh:
            self._writer.add(seen.pair, _trade(row, at_ns))

    def _rules(self, payload: bytes) -> None:
        try:
            self.outcome.rules = rules.instruments(payload)[0]
        except WireError:
            self.outcome.refused += 1

    def _silence(self, at_ns: int) -> None:
        """Note that the socket stayed open and said nothing: nobody knows what happened meanwhile.

        Books go on where their changes are numbered on; trades may be missing.
        """
        for place in [place for place in self._since if place[0] is Channel.TRADES]:
            self._stop(place, Cause.EXCHANGE_SILENT, "")
            self._resume(place, at_ns)

    def _break(self, cause: Cause, detail: str) -> None:
        """Nothing is covered any more: books are void, trades may be missing."""
        for place in list(self._since):
            self._stop(place, cause, detail)
        self._change_sets.clear()

    def _stop(self, place: Place, cause: Cause, detail: str) -> None:
        start = self._since.pop(place, None)
        if start is not None:
            self._cover(place, start, self._heard_ns + 1)
            self._ended[place] = self._heard_ns + 1
            self._causes[place] = (cause, detail)

    def _resume(self, place: Place, at_ns: int) -> None:
        if place in self._since:
            return
        self._since[place] = at_ns
        if place in self._ended:
            cause, detail = self._causes.pop(place)
            channel, pair = place
            gap = Gap(
                channel=channel,
                pair=pair,
                from_ns=self._ended.pop(place),
                to_ns=at_ns,
                cause=cause,
                detail=detail,
            )
            if gap.from_ns < gap.to_ns:
                self._writer.explain(gap)

    def _cover(self, place: Place, from_ns: int, to_ns: int) -> None:
        self._writer.cover(*place, (from_ns, to_ns))


def convert(
    folder: Path, writer: Writer, cursor: Cursor | None, tell: Tell
) -> tuple[Cursor, Outcome]:
    """Add what the segments in `folder` hold beyond `cursor`; return where it ended, and the rest.

    One segment is in memory at a time. Raises SegmentError, OSError.
    """
    converter = Converter(writer, cursor)
    name, count, size = (cursor.segment, cursor.records, cursor.size) if cursor else ("", 0, 0)
    for path in segments(folder):
        if path.name >= name:
            skipped = count if path.name == name else 0
            size = path.stat().st_size  # Before it is read: it may grow meanwhile.
            name, count = path.name, _segment(path, converter, skipped, tell)
    return converter.end(name, count, size), converter.outcome


def has_news(folder: Path, cursor: Cursor | None) -> bool:
    """Return whether there is anything in the segments of a folder that is not converted."""
    newest = max(segments(folder), default=None)
    if newest is None:
        return False
    return cursor is None or (newest.name, newest.stat().st_size) != (cursor.segment, cursor.size)


def bring_in(writer: Writer, manifest: Manifest, raw: Path, tell: Tell) -> Outcome:
    """Convert what is new in the segments of one recorder, and commit it."""
    cursor, outcome = convert(raw, writer, manifest.converted.get(raw.name), tell)
    known = {row.pair: row for row in (*manifest.rules, *outcome.rules)}
    pairs = {part.pair for part in manifest.parts} | writer.pairs
    writer.commit(
        converted={**manifest.converted, raw.name: cursor},
        rules=tuple(known[pair] for pair in sorted(known) if pair in pairs),
    )
    return outcome


def recover(folder: Path) -> None:
    """Convert what a capture into this data set left raw when it died, if it did.

    Nothing is done while another process writes to the set: it is going to.
    """
    manifest = load(folder)
    raw = folder / RAW
    if not has_news(raw, manifest.converted.get(raw.name)):
        return
    with suppress(Busy), locked(folder):
        manifest = load(folder)
        writer = Writer(folder, manifest, Provenance.LIVE)
        try:
            bring_in(writer, manifest, raw, lambda _count: None)
        finally:
            writer.abandon()


def _segment(path: Path, converter: Converter, skipped: int, tell: Tell) -> int:
    """Convert one segment but for its first `skipped` records; return how many it has."""
    count = 0
    for block in blocks(path):
        if isinstance(block, list):
            fresh = block[max(skipped - count, 0) :]
            for heard in fresh:
                converter.take(heard)
            count += len(block)
            tell(len(fresh))
        elif count < skipped or (skipped and isinstance(block, Opening)):
            continue  # Known from the time before.
        elif block is None:
            converter.damage()
        elif isinstance(block, Opening):
            converter.open(block)
    return count


def _trade(row: SeenTrade, at_ns: int) -> Trade:
    return Trade(
        at_ns=at_ns,
        traded_ns=row.event_ns,
        trade_id=row.trade_id,
        side=row.side,
        price=row.price,
        quantity=row.quantity,
    )


def _levels(side: tuple[TextLevel, ...] | bytes) -> tuple[TextLevel, ...]:
    """Return the levels of a side: read already, or of a whole book as it came."""
    if isinstance(side, tuple):
        return side
    return tuple(TextLevel(row.P, row.A) for row in _side(side))


_side = msgspec.json.Decoder(list[WireLevel]).decode
