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


BAD = [
    ("mode = 'liv'", "mode = 'liv': allowed is 'sandbox' | 'dry_run' | 'paper' | 'live'"),
    ("mod = 'live'", "unknown key 'mod'; did you mean 'mode'?"),
    ("pair = ['BTCTRY']", "unknown key 'pair'; did you mean 'pairs'?"),
    ("[sandbox]\nprt = 1", "unknown key 'sandbox.prt'; did you mean 'sandbox.port'?"),
    ("[sandboxes]\nport = 1", "unknown key 'sandboxes.port'; did you mean 'sandbox.port'?"),
    ("[zzz]\nq = 1", "unknown key 'zzz.q'; allowed at the top: mode, home, pairs, exchange"),
    ("[log]\nqqqq = 1", "unknown key 'log.qqqq'; allowed in [log]: level"),
    ("risk = 5", "'risk' is a table, not a value; its keys: risk."),
    ("pairs = 'BTCTRY'", 'Expected array, got str; the default is ["BTCTRY", "ETHTRY"]'),
    ("pairs = []", "expected at least one pair"),
    ("pairs = ['btc-try']", "expected the exchange's name"),
    ("pairs = ['BTCTRY', 'BTCTRY']", "a pair stands there twice"),
    ("pairs = ['BTCTYR']", "pairs = 'BTCTYR': the sandbox trades BTCTRY, ETHTRY, USDTTRY, BTCUSDT"),
    ("pairs = ['BTCTYR']", "did you mean 'BTCTRY'?"),
    ("[sandbox]\nport = 0", "sandbox.port = 0: Expected int >= 1; the default is 8790"),
    ("[sandbox]\nport = 65536", "Expected int <= 65535"),
    ("[sandbox]\nport = '1'", "Expected int, got str"),
    ("[sandbox]\nspeed = 0", "sandbox.speed = 0: expected more than 0"),
    ("[sandbox]\nspeed = nan", "expected a finite number"),
    ("[sandbox]\ndata = 'missing.jsonl'", "no such file"),
    ("[sandbox]\nport = 7000\n[dashboard]\nport = 7000", "the sandbox has it; choose another"),
    ("[live]\narmed = 'yes'", "live.armed = 'yes': Expected bool, got str; the default is false"),
    ("[agent]\nmode = 'advise'", "agent.mode = 'advise': allowed is 'off'"),
    ("[bus]\nendpoints = 'tcp://10.0.0.1:5000'", "tcp:// needs CURVE"),
    ("[strategy]\nname = 'profit_awar'", "did you mean 'profit_aware'?"),
    ("[strategy.params]\nnothing = 1", "`nothing`; allowed are"),
    ("[strategy]\nparams = 3", "strategy.params = 3: expected a table"),
    ("[exchange]\nmaker_bps = -1", "exchange.maker_bps = -1: expected 0 to 10000 bps"),
    ("[exchange]\nrest_url = 'https://api.btcturk.com'", "loopback addresses only"),
    ("[exchange]\nrest_url = 'http://127.0.0.1@evil.example/'", "loopback addresses only"),
    ("[exchange]\nrest_url = 'http://localhost.evil.example'", "loopback addresses only"),
    ("[exchange]\nrest_url = '127.0.0.1:80'", "expected http:// or https://HOST"),
    ("[exchange]\nws_url = 'ws://127.0.0.1:1'", "set exchange.rest_url too, or neither"),
    ("home = '/" + "x" * 100 + "'", "allowed are 100: choose a home 21 bytes shorter"),
    ('home = "/tmp/a\\"b"', "cannot stand in a supervisord command"),
    ("mode =", "not TOML"),
]


@pytest.mark.parametrize(("text", "expected"), BAD, ids=[text[:40] for text, _ in BAD])
def test_refuses_with_the_file_and_what_is_allowed(folder: Path, text: str, expected: str) -> None:
    path = write(folder / "bad.toml", text + "\n")

    with pytest.raises(ConfigError) as refused:
        load([path])

    assert expected in str(refused.value)
    assert str(path) in str(refused.value)


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
