"""Layers of settings: what wins, where it came from, and what is refused with which words."""

import os
import tempfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from btcbot.arming import gates, refusals
from btcbot.config import Config, freeze, load, thaw
from btcbot.layers import ConfigError, leaves


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Stand in an empty folder, with no home and no setting; pytest's own paths are too long."""
    for name in [name for name in os.environ if name.startswith("BTCBOT__")]:
        monkeypatch.delenv(name)
    with tempfile.TemporaryDirectory(prefix="b") as name:
        monkeypatch.setenv("HOME", f"{name}/user")
        monkeypatch.chdir(name)
        yield Path(name)
        monkeypatch.undo()


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_the_defaults_are_safe_and_need_no_file(folder: Path) -> None:
    loaded = load()

    assert loaded.config.mode == "sandbox"
    assert loaded.config.home == folder / "user/.local/state/btcbot"
    assert not loaded.config.live.armed
    assert loaded.origins == {}
    assert loaded.files == ()
    assert refusals(gates(loaded.config)) == []


def test_a_later_layer_wins_and_the_origin_says_which(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = write(folder / "btcbot.toml", "[sandbox]\nport = 1001\nseed = 1\nspeed = 1.5\n")
    further = write(folder / "more.toml", "[sandbox]\nport = 1002\nseed = 2\n")
    monkeypatch.setenv("BTCBOT__SANDBOX__PORT", "1003")

    loaded = load([further], {"log.level": "error"})

    assert loaded.config.sandbox.port == 1003
    assert loaded.config.sandbox.seed == 2
    assert loaded.config.sandbox.speed == Decimal("1.5")
    assert loaded.origins == {
        "sandbox.port": "environment BTCBOT__SANDBOX__PORT",
        "sandbox.seed": str(further),
        "sandbox.speed": str(base),
        "log.level": "flag",
    }


@pytest.mark.parametrize(
    ("how", "expected"),
    [("here", "here.toml"), ("flag", "named.toml"), ("environment", "named.toml")],
)
def test_naming_a_home_names_its_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch, how: str, expected: str
) -> None:
    here = write(folder / "btcbot.toml", "[sandbox]\nseed = 1\n")
    named = write(folder / "named" / "btcbot.toml", "[sandbox]\nseed = 2\n")
    if how == "environment":
        monkeypatch.setenv("BTCBOT__HOME", str(folder / "named"))

    loaded = load([], {"home": str(folder / "named")} if how == "flag" else {})

    assert loaded.files == ((here if expected == "here.toml" else named),)


def test_paths_start_where_they_were_written(folder: Path) -> None:
    write(folder / "etc" / "recording.jsonl", "")
    more = write(
        folder / "etc" / "more.toml",
        'home = "state"\n[sandbox]\ndata = "recording.jsonl"\n[exchange]\napi_key_file = "~/key"\n',
    )

    config = load([more]).config

    assert config.home == folder / "etc" / "state"
    assert config.sandbox.data == folder / "etc" / "recording.jsonl"
    assert config.exchange.api_key_file == folder / "user" / "key"


def test_an_environment_value_is_toml_and_else_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BTCBOT__PAIRS", '["BTCUSDT"]')
    monkeypatch.setenv("BTCBOT__EXCHANGE__TAKER_BPS", "12.5")
    monkeypatch.setenv("BTCBOT__LIVE__ACKNOWLEDGE", "I_UNDERSTAND")
    monkeypatch.setenv("BTCBOT__EXCHANGE__API_KEY_FILE", "2026")
    monkeypatch.setenv("BTCBOT__STRATEGY__PARAMS__PROFIT_BPS", "30")
    monkeypatch.setenv("BTCBOT__SANDBOX__SEED", "")
    monkeypatch.setenv("BTCBOT__LOG__LEVEL", 'debug"\nx = "1')

    with pytest.raises(ConfigError, match=r"log.level = .*allowed is 'debug'"):
        load()
    monkeypatch.delenv("BTCBOT__LOG__LEVEL")
    config = load().config

    assert config.pairs == ("BTCUSDT",)
    assert config.exchange.taker_bps == Decimal("12.5")
    assert config.live.acknowledge == "I_UNDERSTAND"
    assert config.exchange.api_key_file == Path.cwd() / "2026"
    assert config.strategy.params == {"profit_bps": 30}
    assert config.sandbox.seed == 1


def test_names_every_problem_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(folder / "bad.toml", "mod = 1\n[sandbox]\nport = 'x'\n")
    monkeypatch.setenv("BTCBOT__LOG__LEVEL", "loud")

    with pytest.raises(ConfigError) as refused:
        load([path])

    assert len(refused.value.problems) == 3


def test_refuses_a_file_that_is_not_there(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"none.toml: No such file"):
        load([folder / "none.toml"])


def test_addresses_follow_the_mode_and_what_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    own = load().config
    monkeypatch.setenv("BTCBOT__EXCHANGE__REST_URL", "http://localhost:99/")
    other = load().config
    monkeypatch.delenv("BTCBOT__EXCHANGE__REST_URL")
    monkeypatch.setenv("BTCBOT__MODE", "live")
    live = load().config

    assert own.owns_sandbox
    assert own.addresses.rest == own.addresses.graph == "http://127.0.0.1:8790"
    assert own.addresses.ws == "ws://127.0.0.1:8790/ws"
    assert not other.owns_sandbox
    assert other.addresses.rest == "http://localhost:99"
    assert other.addresses.ws == "ws://localhost:99/ws"
    assert not live.owns_sandbox
    assert live.addresses.rest == "https://api.btcturk.com"


def test_fees_are_the_listed_ones_unless_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BTCBOT__EXCHANGE__MAKER_BPS", "3")

    fees = load().config.fees("TRY")  # type: ignore[arg-type]

    assert fees.maker_bps == 3
    assert fees.taker_bps == 24


def test_a_frozen_configuration_thaws_to_the_same(folder: Path) -> None:
    text = "[exchange]\ntaker_bps = 12.5\n[strategy.params]\nprofit_bps = 1\n"
    more = write(folder / "more.toml", text)
    config = load([more]).config
    frozen = folder / "config.json"
    frozen.write_bytes(freeze(config, "run-1"))

    assert thaw(frozen) == (config, "run-1")


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"config": {"mode": "x"}, "run_id": ""}'])
def test_a_broken_frozen_configuration_is_refused(folder: Path, content: bytes) -> None:
    path = folder / "config.json"
    path.write_bytes(content)

    with pytest.raises(ConfigError, match=r"config\.json"):
        thaw(path)


def test_every_key_has_a_default() -> None:
    assert [leaf.key for leaf in leaves(Config) if repr(leaf.default) == "UNSET"] == []
