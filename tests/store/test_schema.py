"""SQLite itself refuses what must not be: whatever program holds the connection."""

from collections.abc import Iterator

import apsw
import pytest

from btcbot.domain.words import OrderState
from btcbot.orders.lifecycle import LEGAL, TERMINAL
from btcbot.store.database import open_writer

INTENT = (
    "INSERT INTO intents(intent_id, intent, strategy, slot, pair, side, state, rule, detail,"
    " decided_ns, created_ns, client_order_id, posts, stamp_ms, id_floor, reserved, order_id,"
    " filled, cost, seq) VALUES(:id, x'00', 's', :slot, 'BTCTRY', 'buy', :state, NULL, '', 1, 1,"
    " :label, :posts, 1, 0, '1', :order_id, '0', '0', 1)"
)
FILL = (
    "INSERT INTO fills VALUES(1, 2, 'buy', 'a', 'l', 'BTCTRY', '1', '1', '0', '0', 'TRY', 1, '', 1)"
)
EVENT = "INSERT INTO events VALUES(?, 1, 1, 'fill', x'00', x'00')"


@pytest.fixture
def database() -> Iterator[apsw.Connection]:
    connection = open_writer(":memory:")
    yield connection
    connection.close()


def run(database: apsw.Connection, statement: str, values: object = ()) -> None:
    database.execute(statement, values).fetchall()  # type: ignore[arg-type]


def sending(database: apsw.Connection, name: str, **changes: object) -> None:
    row: dict[str, object] = {
        "id": name, "slot": name, "state": "SENDING", "label": f"b1-{name}", "posts": 1,
        "order_id": None,
    }  # fmt: skip
    run(database, INTENT, row | changes)


def bring_to(database: apsw.Connection, name: str, state: OrderState) -> None:
    """Move a new order to `state` along legal moves."""
    sending(database, name)
    for step in path_to(state):
        run(database, "UPDATE intents SET state = ? WHERE intent_id = ?", (step, name))


def path_to(state: OrderState) -> list[OrderState]:
    paths: list[list[OrderState]] = [[OrderState.SENDING]]
    while paths:
        path = paths.pop(0)
        if path[-1] is state:
            return path[1:]
        paths += [[*path, new] for new in OrderState if (path[-1], new) in LEGAL]
    raise AssertionError(f"no way to {state}")


def refuses(database: apsw.Connection, statement: str, values: object = ()) -> bool:
    try:
        run(database, statement, values)
    except apsw.ConstraintError:
        return True
    return False


@pytest.mark.parametrize("old", list(OrderState))
@pytest.mark.parametrize("new", list(OrderState))
def test_only_the_moves_of_the_lifecycle_can_be_written(
    database: apsw.Connection, old: OrderState, new: OrderState
) -> None:
    bring_to(database, "a", old)

    is_refused = refuses(database, "UPDATE intents SET state = ?", (new,))

    assert is_refused is ((old, new) not in LEGAL)


@pytest.mark.parametrize("state", [s for s in OrderState if s is not OrderState.SENDING])
def test_an_order_cannot_begin_in_the_middle(database: apsw.Connection, state: OrderState) -> None:
    with pytest.raises(apsw.ConstraintError, match="begins as"):
        sending(database, "a", state=state)


@pytest.mark.parametrize("state", list(OrderState))
def test_a_slot_has_one_live_order(database: apsw.Connection, state: OrderState) -> None:
    bring_to(database, "a", state)

    def second() -> None:
        sending(database, "b", slot="a")

    if state in TERMINAL:
        second()
    else:
        with pytest.raises(apsw.ConstraintError, match=r"intents\.slot"):
            second()


def test_an_intent_is_written_once(database: apsw.Connection) -> None:
    sending(database, "a")
    with pytest.raises(apsw.ConstraintError):
        sending(database, "a", slot="other", label="other")


def test_a_client_order_id_is_used_once(database: apsw.Connection) -> None:
    sending(database, "a")
    with pytest.raises(apsw.ConstraintError, match="client_order_id"):
        sending(database, "b", label="b1-a")


def test_an_exchange_id_belongs_to_one_order(database: apsw.Connection) -> None:
    sending(database, "a", order_id=7)
    with pytest.raises(apsw.ConstraintError, match="order_id"):
        sending(database, "b", order_id=7)


def test_an_order_keeps_its_exchange_id(database: apsw.Connection) -> None:
    sending(database, "a")
    run(database, "UPDATE intents SET order_id = 7")
    run(database, "UPDATE intents SET order_id = 7")  # The same is no change.
    for other in (8, None):
        with pytest.raises(apsw.ConstraintError, match="one id"):
            run(database, "UPDATE intents SET order_id = ?", (other,))


@pytest.mark.parametrize("posts", [-1, 2, 3])
def test_an_intent_is_posted_once_or_never(database: apsw.Connection, posts: int) -> None:
    with pytest.raises(apsw.ConstraintError):
        sending(database, "a", posts=posts)


@pytest.mark.parametrize(
    "changes",
    [
        {"posts": 0},
        {"posts": 0, "label": None},
        {"label": None},
        {"state": "REFUSED"},
        {"state": "REFUSED", "label": None},
    ],
)
def test_what_has_a_label_was_posted_and_what_was_refused_was_not(
    database: apsw.Connection, changes: dict[str, object]
) -> None:
    with pytest.raises(apsw.ConstraintError):
        sending(database, "a", **changes)


@pytest.mark.parametrize(
    "column",
    ["intent_id", "intent", "client_order_id", "posts", "stamp_ms", "id_floor", "reserved"],
)
def test_what_was_sent_cannot_be_told_otherwise(database: apsw.Connection, column: str) -> None:
    sending(database, "a")
    with pytest.raises(apsw.ConstraintError, match="written once"):
        run(database, f"UPDATE intents SET {column} = {column}")


@pytest.mark.parametrize(
    ("table", "insert"),
    [
        ("events", EVENT.replace("?", "1")),
        ("fills", FILL),
        ("postings", "INSERT INTO postings VALUES(1, 0, 'asset', 'TRY', '1')"),
        ("commands", "INSERT INTO commands VALUES('c', '', 1)"),
    ],
)
def test_what_happened_can_be_added_to_and_nothing_else(
    database: apsw.Connection, table: str, insert: str
) -> None:
    run(database, insert)

    assert refuses(database, f"UPDATE {table} SET seq = seq")
    assert refuses(database, f"DELETE FROM {table}")
    assert refuses(database, insert)
    assert refuses(database, insert.replace("INSERT", "INSERT OR REPLACE"))
    assert database.execute(f"SELECT count(*) FROM {table}").fetchall() == [(1,)]


def test_an_intent_cannot_be_removed_or_replaced(database: apsw.Connection) -> None:
    sending(database, "a")

    assert refuses(database, "DELETE FROM intents")
    with pytest.raises(apsw.ConstraintError, match="not removed"):
        run(database, "INSERT OR REPLACE INTO intents SELECT * FROM intents")


@pytest.mark.parametrize("seq", [-1, 0, 1, 3, 1000])
def test_events_are_numbered_without_a_gap(database: apsw.Connection, seq: int) -> None:
    run(database, EVENT, (1,))
    with pytest.raises(apsw.ConstraintError, match="without a gap"):
        run(database, EVENT, (seq,))
    run(database, EVENT, (2,))


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO events VALUES(1, 1, 1, 'fill', NULL, x'00')",
        "INSERT INTO postings VALUES(1, 0, 'asset', 'TRY', x'00')",
        "INSERT INTO commands VALUES('c', NULL, 1)",
    ],
)
def test_columns_have_their_type(database: apsw.Connection, statement: str) -> None:
    with pytest.raises(apsw.ConstraintError):
        run(database, statement)
