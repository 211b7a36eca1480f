"""A commit means what it says, and what was lost or changed since is noticed at the next start."""

import sqlite3
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import apsw
import pytest

from btcbot.domain.facts import Opening, OrderClosed, Posting, Recorded
from btcbot.domain.ids import Asset, IntentId
from btcbot.domain.messages import AssetBalance
from btcbot.domain.money import Amount, MoneyError, Price
from btcbot.store.anchor import RECORD, Anchor, path_of
from btcbot.store.database import PRAGMAS, SCHEMA_VERSION, StoreError, open_reader, open_writer
from btcbot.store.reader import Reader
from btcbot.store.writer import Writer
from tests.store.facts import commit, recorded, started, write


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "btcbot.db"


@pytest.fixture
def writer(path: Path) -> Iterator[Writer]:
    writer = Writer(str(path))
    yield writer
    writer.close()


def reopened(path: Path) -> Writer:
    """Open and verify, as a start does."""
    writer = Writer(str(path))
    try:
        writer.verify()
    except StoreError:
        writer.close()
        raise
    return writer


def tamper(path: Path, *statements: str) -> None:
    """Change rows as somebody with another tool would: the triggers are out of the way."""
    with sqlite3.connect(path) as connection:
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'trigger'"
        ).fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            connection.execute(statement)
    connection.close()


# --- what a commit means ------------------------------------------------------------------------


def test_every_setting_that_durability_rests_on_is_read_back(path: Path) -> None:
    connection = open_writer(str(path))
    try:
        for name, wanted in PRAGMAS.items():
            assert connection.execute(f"PRAGMA {name}").fetchall() == [(wanted,)], name
        assert PRAGMAS["journal_mode"] == "wal"
        assert PRAGMAS["synchronous"] == 2  # FULL.
        assert connection.execute("PRAGMA user_version").fetchall() == [(SCHEMA_VERSION,)]
    finally:
        connection.close()


def test_a_database_that_cannot_have_a_write_ahead_log_is_refused(path: Path) -> None:
    blocked = apsw.Connection(str(path))
    blocked.execute("CREATE TABLE t(x)").fetchall()
    blocked.execute("BEGIN EXCLUSIVE").fetchall()
    try:
        with pytest.raises((StoreError, apsw.BusyError)):
            open_writer(str(path))
    finally:
        blocked.close()


def test_a_commit_is_seen_by_readers_as_one(writer: Writer, path: Path) -> None:
    reader = Reader(open_reader(path))
    assert reader.facts_after(0, ("recorded",), 10) == ([], 0)

    commit(writer, recorded(1), recorded(2), recorded(3))

    found, through = reader.facts_after(0, ("recorded",), 10)
    assert [seq for seq, _ in found] == [1, 2, 3]
    assert through == 3


def test_a_commit_that_fails_leaves_nothing(writer: Writer, path: Path) -> None:
    commit(writer, recorded(1))
    twice = (recorded(2), recorded(3), recorded(2))  # The command of 2 happens once.

    with pytest.raises(apsw.ConstraintError):
        commit(writer, *twice)

    assert writer.head == 1
    [(events,)] = open_reader(path).execute("SELECT count(*) FROM events").fetchall()
    [(commands,)] = open_reader(path).execute("SELECT count(*) FROM commands").fetchall()
    assert (events, commands) == (1, 1)


def test_facts_go_to_the_rows_they_were_given(writer: Writer) -> None:
    commit(writer, recorded(1))
    for first in (1, 3):
        with pytest.raises(AssertionError, match="the head is 1"):
            writer.commit((recorded(2),), first)


def test_postings_that_do_not_sum_to_zero_are_not_written(writer: Writer) -> None:
    try_ = Asset("TRY")
    opening = Opening(
        balances=(AssetBalance(try_, Amount(Decimal(5)), Amount(Decimal(5))),),
        postings=(Posting("asset", try_, Amount(Decimal(5))),),
        at_ns=1,
    )
    with pytest.raises(AssertionError, match="make or lose money"):
        commit(writer, opening)
    assert writer.head == 0


# --- reading ------------------------------------------------------------------------------------


def test_a_page_has_five_hundred_facts_at_most(writer: Writer) -> None:
    for first in range(1, 1201, 300):
        commit(writer, *map(recorded, range(first, first + 300)))

    seen: list[int] = []
    through, before = 0, -1
    while through != before:
        before = through
        page, through = writer.reader.facts_after(before, ("recorded",), 100_000)
        assert len(page) <= 500
        seen += [seq for seq, _ in page]

    assert seen == list(range(1, 1201))


def test_a_page_is_read_on_in_order_and_nothing_is_sorted_for_it(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of the history is read so at each start of an actor; sorting took nine times as long."""
    asked: list[str] = []
    reader = writer.reader
    execute = reader._execute

    def noting(query: str, values: tuple[object, ...] = ()) -> object:
        asked.extend(row[3] for row in execute(f"EXPLAIN QUERY PLAN {query}", values))
        return execute(query, values)

    monkeypatch.setattr(reader, "_execute", noting)
    reader.facts_after(0, ("recorded", "fill", "order_closed"), 500)

    assert asked[0].startswith("SEARCH events USING INTEGER PRIMARY KEY")
    assert not [step for step in asked if "TEMP B-TREE" in step]


def test_a_page_is_complete_past_facts_of_other_kinds(writer: Writer) -> None:
    commit(writer, recorded(1), started(1), started(2))

    assert writer.reader.facts_after(0, ("recorded",), 500) == ([(1, recorded(1))], 3)
    assert writer.reader.facts_after(3, ("recorded",), 500) == ([], 3)
    assert writer.reader.facts_after(9, ("recorded",), 500) == ([], 9)  # A hearer never goes back.


def test_a_reader_cannot_write(writer: Writer, path: Path) -> None:
    commit(writer, recorded(1))
    reader = open_reader(path)
    for statement in (
        "INSERT INTO commands VALUES('x', '', 1)",
        "DROP TRIGGER events_are_not_changed",
        "PRAGMA user_version=9",
    ):
        with pytest.raises(apsw.ReadOnlyError):
            reader.execute(statement).fetchall()


def test_a_reader_of_no_database_says_what_to_do(path: Path) -> None:
    with pytest.raises(StoreError, match="no database; start the fleet once"):
        open_reader(path)
    assert not path.exists()


# --- what a start notices -----------------------------------------------------------------------


@pytest.mark.parametrize("version", [SCHEMA_VERSION + 1, 99, -1])
def test_a_schema_of_another_version_is_left_alone(path: Path, version: int) -> None:
    Writer(str(path)).close()
    tamper(path, f"PRAGMA user_version={version}")
    before = path.read_bytes()

    with pytest.raises(StoreError, match=f"schema {version}; this build reads {SCHEMA_VERSION}"):
        Writer(str(path))
    assert path.read_bytes() == before


def test_a_database_of_somebody_else_is_left_alone(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs(x)")
    connection.close()

    with pytest.raises(StoreError, match="schema 0"):
        Writer(str(path))


def test_a_sound_journal_is_verified_and_goes_on(path: Path, writer: Writer) -> None:
    write(writer, 20)
    writer.close()

    again = reopened(path)
    write(again, 5)
    again.close()

    last = reopened(path)
    assert last.head == 25
    last.close()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE events SET payload = CAST(replace(payload, 'note', 'nota') AS BLOB) WHERE seq = 7",
        "UPDATE events SET kind = 'fill' WHERE seq = 7",
        "UPDATE events SET at_ns = at_ns + 1 WHERE seq = 7",
        "UPDATE events SET epoch = epoch + 1 WHERE seq = 7",
        "UPDATE events SET hash = randomblob(16) WHERE seq = 7",
        "DELETE FROM events WHERE seq = 7",
        "DELETE FROM events WHERE seq <= 7",
    ],
)
def test_a_row_that_was_changed_or_removed_is_noticed(
    path: Path, writer: Writer, change: str
) -> None:
    write(writer, 10)
    writer.close()
    tamper(path, change)

    with pytest.raises(StoreError, match="is not what was written; restore a backup"):
        reopened(path)


def test_one_flipped_bit_in_an_event_is_noticed_wherever_it_is(path: Path, writer: Writer) -> None:
    write(writer, 10)
    writer.close()
    sound = path.read_bytes()
    at = sound.index(b"a test")
    for bit in range(8):
        damaged = bytearray(sound)
        damaged[at + 2] ^= 1 << bit
        path.write_bytes(damaged)
        with pytest.raises((StoreError, apsw.Error)):
            reopened(path)
    path.write_bytes(sound)
    reopened(path).close()


def test_a_damaged_index_is_noticed_though_every_event_is_what_was_written(
    path: Path, writer: Writer
) -> None:
    write(writer, 50)
    [found] = writer.reader.rows("SELECT rootpage FROM sqlite_schema WHERE name = 'events_by_kind'")
    page: int = found["rootpage"]
    writer.checkpoint()
    writer.close()
    damaged = bytearray(path.read_bytes())
    damaged[page * 4096 - 64 : page * 4096] = bytes(64)  # The end of its page: the first rows.
    path.write_bytes(damaged)

    with pytest.raises(StoreError, match=r"damaged: .* restore a backup"):
        reopened(path)


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.9])
def test_a_file_that_was_cut_off_is_refused_in_plain_words(
    path: Path, writer: Writer, keep: float
) -> None:
    commit(writer, *map(recorded, range(1, 2_001)))
    writer.checkpoint()
    writer.close()
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep) // 4096 * 4096])

    with pytest.raises(StoreError, match="restore a backup"):
        reopened(path)


def test_a_file_that_is_no_database_is_refused_in_plain_words(path: Path) -> None:
    path.write_bytes(b"this was a database once " * 400)
    with pytest.raises(StoreError, match=r"damaged: .* restore a backup"):
        Writer(str(path))


def older_copy(path: Path, writer: Writer) -> None:
    """Put a sound copy of before the last commits in the place of the database."""
    copy = apsw.Connection(str(path.with_suffix(".copy")))
    with copy.backup("main", writer._connection, "main") as backup:
        backup.step()
    copy.close()
    write(writer, 5)
    writer.close()
    path.with_suffix(".copy").replace(path)


def last_events_cut(path: Path, writer: Writer) -> None:
    """Remove the newest events: the chain of what is left is whole."""
    write(writer, 5)
    writer.close()
    tamper(path, "DELETE FROM events WHERE seq > 10")


@pytest.mark.parametrize("lose", [older_copy, last_events_cut])
def test_a_journal_that_ends_before_its_anchor_is_refused(
    path: Path, writer: Writer, lose: Callable[[Path, Writer], None]
) -> None:
    write(writer, 10)
    lose(path, writer)

    with pytest.raises(StoreError, match="ends at event 10, but event 15 was written") as refused:
        reopened(path)
    assert str(path_of(str(path))) in str(refused.value)  # What a person has to remove.

    path_of(str(path)).unlink()
    again = reopened(path)
    assert again.head == 10
    again.close()


def test_a_lost_write_ahead_log_is_noticed(path: Path, tmp_path: Path, writer: Writer) -> None:
    write(writer, 10)
    writer.checkpoint()
    write(writer, 5)
    copy = tmp_path / "copy.db"
    copy.write_bytes(path.read_bytes())  # Without its -wal.
    path_of(str(copy)).write_bytes(path_of(str(path)).read_bytes())

    with pytest.raises(StoreError, match="ends at event 10, but event 15 was written"):
        reopened(copy)


def test_a_journal_of_other_events_is_refused(path: Path, tmp_path: Path, writer: Writer) -> None:
    write(writer, 10)
    other = Writer(str(tmp_path / "other.db"))
    commit(other, *map(started, range(1, 16)))
    other.close()
    path_of(str(tmp_path / "other.db")).write_bytes(path_of(str(path)).read_bytes())

    with pytest.raises(StoreError, match="event 10 is not the one that was written"):
        reopened(tmp_path / "other.db")


def test_an_anchor_that_lags_is_no_reason_to_refuse(path: Path, writer: Writer) -> None:
    write(writer, 10)
    stale = path_of(str(path)).read_bytes()
    write(writer, 5)
    writer.close()
    path_of(str(path)).write_bytes(stale)

    reopened(path).close()


@pytest.mark.parametrize("torn", [0, RECORD])
def test_a_torn_record_leaves_the_other(path: Path, torn: int) -> None:
    anchor = Anchor(path)
    anchor.write(1, b"a" * 16)
    anchor.write(2, b"b" * 16)
    anchor.close()
    stored = bytearray(path.read_bytes())
    stored[torn + 3] ^= 1
    path.write_bytes(stored)

    again = Anchor(path)
    assert again.read() == ((2, b"b" * 16) if torn == 0 else (1, b"a" * 16))
    again.close()


def test_an_anchor_never_leads_what_is_durable(writer: Writer, path: Path) -> None:
    commit(writer, recorded(1))
    with pytest.raises(apsw.ConstraintError):
        commit(writer, recorded(2), recorded(2))
    anchor = Anchor(path_of(str(path)))
    known = anchor.read()
    anchor.close()
    assert known is not None
    assert known[0] == 1


def test_the_anchor_is_the_head_after_every_commit(writer: Writer, path: Path) -> None:
    seen = []
    for number in range(1, 6):
        commit(writer, recorded(number))
        anchor = Anchor(path_of(str(path)))
        seen.append(anchor.read())
        anchor.close()
    assert [known and known[0] for known in seen] == [1, 2, 3, 4, 5]


def test_records_are_read_as_they_were_written(writer: Writer) -> None:
    write(writer, 3)
    found, _ = writer.reader.facts_after(0, ("recorded",), 500)
    assert [fact for _, fact in found] == [recorded(1), recorded(2), recorded(3)]
    assert all(isinstance(fact, Recorded) for _, fact in found)


def test_a_number_that_hearers_would_refuse_never_becomes_a_fact(writer: Writer) -> None:
    """They could not catch up past it, in this life or any other."""
    closed = OrderClosed(
        intent_id=IntentId("x"), filled=Amount(Decimal(1)), reason="filled", at_ns=1,
        average_price=Price(Decimal(10) / 3),
    )  # fmt: skip
    with pytest.raises(MoneyError, match="48 digits"):
        commit(writer, closed)
    assert writer.head == 0
