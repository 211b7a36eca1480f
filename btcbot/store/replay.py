"""Every table built again from the events alone, and compared with what stands there.

The tables are what the events mean. So a journal is sound when its chain holds and its tables
follow from it; and a journal of an older schema becomes one of the newest by being told again.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

import apsw
import msgspec

from btcbot.domain.facts import FACTS, Fact
from btcbot.store.database import StoreError
from btcbot.store.writer import CHAIN_START, Writer, link

TABLES: Final = {
    "events": "seq",
    "intents": "intent_id",
    "fills": "trade_id, order_id, side",
    "postings": "seq, line",
    "latest": "kind, key",
    "commands": "command_id",
}
BATCH: Final = 1_000
_DECODERS = {
    str(kind.__struct_config__.tag): msgspec.msgpack.Decoder(kind).decode for kind in FACTS
}
Event = tuple[int, int, str, bytes]  # Sequence, epoch, kind, payload.
Link = Callable[[bytes, int, int, int, str, bytes], bytes]


def verify_chain(connection: apsw.Connection, name: str, hashed: Link = link) -> int:
    """Return how many events there are, each proven by its hash. Raises StoreError."""
    chain, expected = CHAIN_START, 1
    rows: Any = connection.execute(
        "SELECT seq, epoch, at_ns, kind, payload, hash FROM events ORDER BY seq"
    )
    for seq, epoch, at_ns, kind, payload, stored in rows:
        chain = hashed(chain, seq, epoch, at_ns, kind, payload)
        if seq != expected or chain != stored:
            raise StoreError(f"{name}: event {seq} is not what was written; restore a backup")
        expected += 1
    return expected - 1


def rebuilt(connection: apsw.Connection) -> Writer:
    """Return a database in memory that was told every event of `connection` again."""
    writer = Writer(":memory:")
    tell_again(connection, writer)
    return writer


def tell_again(connection: apsw.Connection, writer: Writer) -> None:
    """Write every event of `connection` through `writer`, which has none yet."""
    rows: Any = connection.execute("SELECT seq, epoch, kind, payload FROM events ORDER BY seq")
    for epoch, events in groupby(rows, key=itemgetter(1)):
        writer.epoch = epoch
        for batch in _batches(events):
            writer.commit([_fact(event) for event in batch], batch[0][0])


def differences(connection: apsw.Connection, again: Writer) -> Iterator[str]:
    """Yield each table whose rows are not those that its events mean, with the first such row."""
    for table, key in TABLES.items():
        query = f"SELECT * FROM {table} ORDER BY {key}"  # noqa: S608 - our own names
        here: Any = connection.execute(query)
        there = again.reader.rows(query)
        for number, (row, expected) in enumerate(_pairs(here, there)):
            if row != expected:
                yield f"{table}, row {number + 1}: is {row!r:.200}, follows {expected!r:.200}"
                break


def _pairs(
    here: Iterable[tuple[Any, ...]], there: Iterable[dict[str, Any]]
) -> Iterator[tuple[tuple[Any, ...] | None, tuple[Any, ...] | None]]:
    """Yield the rows of both side by side; None where one of them has no more."""
    left, right = iter(here), iter(there)
    while True:
        row, expected = next(left, None), next(right, None)
        if row is None and expected is None:
            return
        yield row, None if expected is None else tuple(expected.values())


def _batches(events: Iterable[Event]) -> Iterator[list[Event]]:
    batch: list[Event] = []
    for event in events:
        batch.append(event)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _fact(event: Event) -> Fact:
    seq, _, kind, payload = event
    decode = _DECODERS.get(kind)
    if decode is None:
        raise StoreError(f"event {seq} is of kind {kind!r}, which this build does not know")
    try:
        return decode(payload)
    except msgspec.ValidationError as error:
        raise StoreError(f"event {seq}, {kind}: {error}; this build cannot read it") from None
