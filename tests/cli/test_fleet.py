"""One fleet on one home: folders, the lock, ports, and what a dead fleet leaves behind."""

import fcntl
import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from btcbot.cli import exits, fleet, up
from btcbot.config import Config, thaw
from btcbot.layers import ConfigError
from btcbot.sections import Dashboard, Exchange, Sandbox
from btcbot.store.writer import Writer
from tests.store.facts import recorded


@pytest.fixture
def config() -> Iterator[Config]:
    """Give a configuration on an empty home with a short path, and ports nobody has."""
    with tempfile.TemporaryDirectory(prefix="b") as name:
        home = Path(name) / "home"
        yield Config(
            home=home, sandbox=Sandbox(port=free_port()), dashboard=Dashboard(port=free_port())
        )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_everything_under_home_is_ours_alone(config: Config) -> None:
    fleet.make_folders(config)

    for path in (config.home, *config.home.iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_refuses_a_home_that_others_can_write_in(config: Config) -> None:
    config.home.mkdir()
    (config.home / "notes.txt").touch()
    config.home.chmod(0o777)

    with pytest.raises(ConfigError, match=r"0777 lets others write in it; chmod 700"):
        fleet.make_folders(config)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_refuses_a_home_of_another_user(config: Config) -> None:
    config.home.mkdir()
    os.chown(config.home, 4242, -1)

    with pytest.raises(ConfigError, match="owned by uid 4242"):
        fleet.make_folders(config)


def test_a_second_fleet_on_the_home_exits_75_and_names_the_first(
    config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet.make_folders(config)
    lock = fleet.take_lock(config)

    with pytest.raises(SystemExit) as ended:
        fleet.take_lock(config)

    assert ended.value.code == exits.TRY_LATER
    assert f"pid {os.getpid()}" in capsys.readouterr().err
    assert fleet.holder_of(config) == os.getpid()
    os.close(lock)
    assert fleet.holder_of(config) is None


def test_a_start_is_given_more_time_the_longer_the_history_is(config: Config) -> None:
    assert up.patience_s(config) == up.READY_WAIT_S  # Nothing was ever written.
    fleet.make_folders(config)
    writer = Writer(str(config.database))
    writer.commit([recorded(number) for number in range(1, 2_001)], 1)
    writer.close()

    assert up.patience_s(config) == up.READY_WAIT_S + 0.5

    config.database.write_bytes(b"this was a database once " * 400)
    assert up.patience_s(config) == up.READY_WAIT_S  # Execution says what is wrong with it.


def test_a_home_that_never_was_has_no_fleet(config: Config) -> None:
    assert fleet.holder_of(config) is None


def test_a_port_that_is_taken_is_named_with_its_key(
    config: Config, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fleet, "PORT_WAIT_S", 0.0)
    fleet.check_ports(config)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", config.sandbox.port))
        taken.listen()

        with pytest.raises(SystemExit) as ended:
            fleet.check_ports(config)

    assert ended.value.code == exits.TRY_LATER
    assert "BTCBOT__SANDBOX__PORT" in capsys.readouterr().err


def test_the_documented_key_is_written_only_where_none_was_configured(config: Config) -> None:
    fleet.make_folders(config)
    own = config.run / "mine"
    other = Config(home=config.home, exchange=Exchange(api_key_file=own))

    fleet.write_keys(other)

    assert not own.exists()
    assert stat.S_IMODE((config.run / "sandbox.secret").stat().st_mode) == 0o600
    fleet.write_keys(config)
    assert (config.run / "sandbox.key").exists()


def test_every_process_gets_the_configuration_that_was_checked(config: Config) -> None:
    fleet.make_folders(config)

    fleet.write_config(config, "run-7")

    assert thaw(config.run / "config.json") == (config, "run-7")


def test_supervisord_is_told_whether_the_sandbox_is_ours(config: Config) -> None:
    foreign = Config(home=config.home, exchange=Exchange(rest_url="http://127.0.0.1:1"))

    assert fleet.environment(config, {}, 1)["BTCBOT_SANDBOX"] == "true"
    assert fleet.environment(foreign, {}, 1)["BTCBOT_SANDBOX"] == "false"


def test_sockets_of_the_dead_are_removed_and_those_of_the_living_named(config: Config) -> None:
    fleet.make_folders(config)
    for name in ("dead.pub", "alive.pub"):
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(config.run / name))
    with (config.run / "alive.pub.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)

        named = fleet.remove_sockets(config)

    assert named == [config.run / "alive.pub"]
    assert not (config.run / "dead.pub").exists()
