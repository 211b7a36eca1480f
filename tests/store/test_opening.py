"""What execution opens: a verified journal of its own account, or nothing and a reason."""

import threading
from pathlib import Path
from typing import Literal

import apsw
import pytest
from msgspec.structs import replace

from btcbot.config import Config
from btcbot.domain.facts import AccountBound
from btcbot.layers import ConfigError
from btcbot.opening import OWN_SANDBOX, identity_of, open_desk, open_journal
from btcbot.orders.recovery import begin
from btcbot.orders.turn import Turn
from btcbot.secret import Secret, write_secret
from btcbot.sections import Exchange
from btcbot.store.database import StoreBusy
from btcbot.store.writer import Writer
from tests.store.facts import START_NS, commit, recorded, started, write

SECRET = "c2VjcmV0IG9mIGEgdGVzdA=="
KEYS = Secret("a key of some length"), Secret(SECRET)


def config(home: Path, key: str = "the-first-key", url: str = "") -> Config:
    """Return a configuration with a key file that holds `key`."""
    home.mkdir(exist_ok=True)
    files = home / f"{key}.key", home / f"{key}.secret"
    write_secret(files[0], key)
    write_secret(files[1], SECRET)
    exchange = Exchange(api_key_file=files[0], api_secret_file=files[1], rest_url=url)
    return Config(home=home, exchange=exchange)


def live(config: Config) -> list[AccountBound]:
    """Live a short life; return the accounts it wrote down."""
    opened = open_desk(config, START_NS)
    turn = Turn(opened.desk, START_NS)
    begin(turn)
    opened.writer.commit(turn.facts, opened.writer.head + 1)
    opened.writer.close()
    return [fact for fact in turn.facts if isinstance(fact, AccountBound)]


def test_the_first_life_writes_down_whose_journal_it_is_and_the_next_does_not(
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"

    [bound] = live(config(home))

    assert bound.exchange == OWN_SANDBOX
    assert "first" not in bound.account
    assert live(config(home)) == []


def test_a_later_life_goes_on_under_the_tag_that_its_orders_bear(tmp_path: Path) -> None:
    home = tmp_path / "home"
    live(config(home))
    tags = []
    for later in (1, 2):
        opened = open_desk(config(home), START_NS + later)
        tags.append(opened.desk.setup.tag)
        opened.writer.close()
    assert tags[0] == tags[1]
    other = open_desk(config(tmp_path / "other"), START_NS + 1)
    assert other.desk.setup.tag != tags[0], "another home has orders of its own"
    other.writer.close()


@pytest.mark.parametrize(
    ("key", "url"),
    [("another-key", ""), ("the-first-key", "http://127.0.0.1:9999")],
    ids=["another account", "another exchange"],
)
def test_another_account_or_exchange_is_refused_with_what_to_do(
    tmp_path: Path, key: str, url: str
) -> None:
    live(config(tmp_path / "home"))

    with pytest.raises(ConfigError, match=r"belongs to account .*btcbot account move") as refused:
        open_desk(config(tmp_path / "home", key, url), START_NS)

    assert key not in str(refused.value)
    Writer(str(tmp_path / "home" / "btcbot.db")).close()  # Nobody holds it.


@pytest.mark.parametrize(("first", "second"), [("sandbox", "live"), ("live", "sandbox")])
def test_a_sandboxs_journal_is_not_opened_live_nor_the_other_way_round(
    tmp_path: Path, first: Literal["sandbox", "live"], second: Literal["sandbox", "live"]
) -> None:
    made = config(tmp_path / "home")
    live(replace(made, mode=first))

    with pytest.raises(ConfigError, match="belongs to account") as refused:
        open_desk(replace(made, mode=second), START_NS)

    for exchange in (OWN_SANDBOX, "https://api.btcturk.com"):
        assert exchange in str(refused.value)


def test_another_port_of_our_own_sandbox_is_the_same_exchange(tmp_path: Path) -> None:
    made = config(tmp_path / "home")
    other = Config(home=made.home, sandbox=type(made.sandbox)(port=12_345))

    one, two = (identity_of(c, KEYS) for c in (made, other))

    assert one == two


def test_an_old_copy_of_the_journal_is_refused(tmp_path: Path) -> None:
    made = config(tmp_path / "home")
    live(made)
    old = made.database.read_bytes()
    live(made)
    made.database.write_bytes(old)

    with pytest.raises(ConfigError, match="this is an old copy"):
        open_journal(made)


def test_a_damaged_journal_is_refused(tmp_path: Path) -> None:
    made = config(tmp_path / "home")
    live(made)
    made.database.write_bytes(b"not a database, whatever its name" * 200)

    with pytest.raises(ConfigError, match=r"damaged|not a database"):
        open_journal(made)


def test_a_second_writer_is_an_alarm_and_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "btcbot.db"
    writer = Writer(str(path))
    writer.epoch = 1
    commit(writer, started(1))
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE").fetchall()
    # Who waited would get it in the end, and nobody would ever know of the second writer.
    gone = threading.Timer(1.5, lambda: other.execute("ROLLBACK").fetchall())
    gone.start()

    with pytest.raises(StoreBusy, match="another process writes it"):
        write(writer, 1)

    gone.join()
    assert writer.head == 1
    commit(writer, recorded(2))
    other.close()
    writer.close()


def test_a_dead_writers_lock_is_waited_for_when_it_opens(tmp_path: Path) -> None:
    path = tmp_path / "btcbot.db"
    Writer(str(path)).close()
    other = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    other.execute("PRAGMA locking_mode=exclusive").fetchall()
    other.execute("BEGIN EXCLUSIVE").fetchall()

    with pytest.raises(StoreBusy, match="for over 2000 ms"):
        Writer(str(path))

    other.close()
    Writer(str(path)).close()
