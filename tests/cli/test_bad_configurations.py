"""Bad configurations: each is refused with key, value and what is allowed, and nothing starts."""

import pytest

from btcbot.cli import exits
from tests.cli.terminal import Terminal

Row = tuple[str, str, str]  # A TOML file; how it is named: key and value; what is allowed.

TYPES: tuple[Row, ...] = (
    ("mode = 'liv'", "mode = 'liv'", "allowed is 'sandbox' | 'dry_run' | 'paper' | 'live'"),
    ("mode = ['live']", "mode = ['live']", "allowed is 'sandbox' | "),
    ("mode = true", "mode = True", "allowed is 'sandbox' | "),
    ("home = 1", "home = 1", "expected a path, in quotes"),
    ("home = ''", "home = ''", "expected a path, in quotes"),
    ("pairs = 'BTCTRY'", "pairs = 'BTCTRY'", 'Expected array, got str; the default is ["BTCTRY"'),
    ("pairs = [1]", "pairs = [1]", "Expected str, got int"),
    ("[live]\narmed = 'yes'", "live.armed = 'yes'", "Expected bool, got str; the default is false"),
    ("[live]\narmed = 1", "live.armed = 1", "Expected bool, got int"),
    ("[live]\nacknowledge = true", "live.acknowledge = True", "Expected str, got bool"),
    ("[exchange]\napi_key_file = 5", "exchange.api_key_file = 5", "expected a path, in quotes"),
    ("[exchange]\nmaker_bps = true", "exchange.maker_bps = True", "Expected decimal"),
    ("[exchange]\ntaker_bps = 'low'", "exchange.taker_bps = 'low'", "Invalid decimal"),
    ("[risk]\norder_notional_max_try = 'x'", "risk.order_notional_max_try = 'x'", "decimal"),
    ("[risk]\nopen_orders_max = 1.5", "risk.open_orders_max = 1.5", "Expected int, got decimal"),
    ("[sandbox]\nport = '1'", "sandbox.port = '1'", "Expected int, got str"),
    ("[sandbox]\nseed = 1.5", "sandbox.seed = 1.5", "Expected int, got decimal"),
    ("[capture]\nenabled = 1", "capture.enabled = 1", "Expected bool, got int"),
    ("[log]\nlevel = 'loud'", "log.level = 'loud'", "allowed is 'debug' | 'info' | "),
    ("[strategy]\nparams = 3", "strategy.params = 3", "expected a table"),
    ("[strategy.params]\nprofit_bps = 'x'", "strategy.params.profit_bps = x", "Expected float"),
    ("[agent]\nmode = 'obey'", "agent.mode = 'obey'", "allowed is 'off'"),
)
BOUNDS: tuple[Row, ...] = (
    ("[risk]\norder_notional_max_try = -1", "risk.order_notional_max_try = -1", "0 to 1e15"),
    ("[risk]\nposition_notional_max_try = -0.5", "risk.position_notional_max_try = -0.5", "0 to"),
    ("[risk]\ncash_reserve_min_try = nan", "risk.cash_reserve_min_try = NaN", "a finite number"),
    ("[risk]\nprice_collar_bps = inf", "risk.price_collar_bps = Infinity", "a finite number"),
    ("[risk]\nopen_orders_max = 41", "risk.open_orders_max = 41", "Expected int <= 40"),
    ("[risk]\norders_per_minute_max = 121", "risk.orders_per_minute_max = 121", "int <= 120"),
    ("[risk]\nbook_age_max_ms = 99", "risk.book_age_max_ms = 99", "Expected int >= 100"),
    ("[orders]\nabsence_wait_s = 29", "orders.absence_wait_s = 29", "Expected int >= 30"),
    ("[orders]\nsweep_interval_s = 4", "orders.sweep_interval_s = 4", "Expected int >= 5"),
    ("[orders]\nfills_interval_s = 0", "orders.fills_interval_s = 0", "Expected int >= 1"),
    ("[orders]\nopen_orders_interval_s = 61", "orders.open_orders_interval_s = 61", "<= 60"),
    ("[orders]\nbalances_interval_s = 601", "orders.balances_interval_s = 601", "int <= 600"),
    ("[orders]\nclock_interval_s = 4", "orders.clock_interval_s = 4", "Expected int >= 5"),
    ("[orders]\nclock_error_max_ms = 2001", "orders.clock_error_max_ms = 2001", "int <= 2000"),
    ("[orders]\nslot_orders_per_minute_max = 0", "orders.slot_orders_per_minute_max = 0", ">= 1"),
    ("[capture]\nrotate_mb = 0", "capture.rotate_mb = 0", "Expected int >= 1"),
    ("[capture]\ndisk_free_min_mb = -1", "capture.disk_free_min_mb = -1", "Expected int >= 0"),
    ("[capture]\ndisk_max_mb = 15", "capture.disk_max_mb = 15", "Expected int >= 16"),
    ("[store]\nreserve_mb = -1", "store.reserve_mb = -1", "Expected int >= 0"),
    ("[store]\nbackup_keep = 0", "store.backup_keep = 0", "Expected int >= 1"),
    ("[store]\nbackup_interval_s = 604801", "store.backup_interval_s = 604801", "<= 604800"),
    ("[sandbox]\nport = 0", "sandbox.port = 0", "Expected int >= 1; the default is 8790"),
    ("[dashboard]\nport = 65536", "dashboard.port = 65536", "Expected int <= 65535"),
    ("[sandbox]\nseed = -1", "sandbox.seed = -1", "Expected int >= 0"),
    ("[sandbox]\nseed = 99999999999999999999", "sandbox.seed = 99999999999999999999", "<= 92233"),
    ("[sandbox]\nspeed = 0", "sandbox.speed = 0", "expected more than 0 (1 is real time), up to"),
    ("[sandbox]\nspeed = 1001", "sandbox.speed = 1001", "up to 1000"),
    ("[sandbox]\nspeed = 1e400", "sandbox.speed = 1E+400", "between 1e-16 and 1e15"),
    ("[exchange]\nmaker_bps = -1", "exchange.maker_bps = -1", "expected 0 to 10000 bps"),
    ("[exchange]\ntaker_bps = 10000", "exchange.taker_bps = 10000", "expected 0 to 10000 bps"),
    ("[strategy.params]\nprofit_bps = -1", "strategy.params.profit_bps = -1", "float >= 0"),
    ("[strategy.params]\norder_notional = 0", "strategy.params.order_notional = 0", "above 0"),
)
TOGETHER: tuple[Row, ...] = (
    ("pairs = []", "pairs = []", "expected at least one pair"),
    ("pairs = ['btc-try']", "pairs = 'btc-try'", 'the exchange\'s name, such as "BTCTRY"'),
    ("pairs = ['BTCTRY', 'BTCTRY']", "pairs = ['BTCTRY', 'BTCTRY']", "stands there twice"),
    ("pairs = ['BTCTYR']", "pairs = 'BTCTYR'", "did you mean 'BTCTRY' or 'BTCUSDT'?"),
    ("[strategy]\nname = 'profit_awar'", "strategy.name = 'profit_awar'", "'profit_aware'?"),
    ("[strategy.params]\nprofit_bp = 1", "strategy.params.profit_bp = 1", "mean 'profit_bps'?"),
    ("[strategy]\nname = 'ema_cross'\n[strategy.params]\nfast = 9\nslow = 3",
     "strategy.params.fast = 9", "allowed is less than slow = 3"),
    ("[capture]\nrotate_s = 7000", "capture.rotate_s = 7000", "a divisor of a day"),
    ("[capture]\ndisk_max_mb = 255", "capture.disk_max_mb = 255", "at least 256, four times"),
    ("[sandbox]\ndata = 'missing.jsonl'", "sandbox.data = '", "no such file"),
    ("[sandbox]\nfaults = 'flakey'", "sandbox.faults = 'flakey'", "did you mean 'flaky'?"),
    ("[sandbox]\nfaults = './f.toml'", "sandbox.faults = './f.toml'", "a path from / or ~ on"),
    ("[sandbox]\nport = 7000\n[dashboard]\nport = 7000", "dashboard.port = 7000",
     "the sandbox has it; choose another"),
    ("[exchange]\nrest_url = 'https://api.btcturk.com'",
     "exchange.rest_url = 'https://api.btcturk.com'", "loopback addresses only"),
    ("[exchange]\nrest_url = 'http://localhost.evil.example'",
     "exchange.rest_url = 'http://localhost.evil.example'", "loopback addresses only"),
    ("[exchange]\nrest_url = 'http://me:hunter2@127.0.0.1'",
     "exchange.rest_url = 'http://***@127.0.0.1'", "expected no user and no password"),
    ("[exchange]\nrest_url = '127.0.0.1:80'", "exchange.rest_url = '127.0.0.1:80'",
     "expected http:// or https://HOST"),
    ("[exchange]\nrest_url = 'http://127.0.0.1:99999'",
     "exchange.rest_url = 'http://127.0.0.1:99999'", "with at most a port"),
    ("[exchange]\nrest_url = 'http://127.0.0.1/api'", "exchange.rest_url = 'http://127.0.0.1/api'",
     "with at most a port"),
    ("[exchange]\nws_url = 'ws://127.0.0.1:1'", "exchange.ws_url = 'ws://127.0.0.1:1'",
     "set exchange.rest_url too, or neither"),
    ("[exchange]\nrest_url = 'http://127.0.0.1'\nws_url = 'http://127.0.0.1'",
     "exchange.ws_url = 'http://127.0.0.1'", "expected ws:// or wss://HOST"),
    ("mode = 'live'\n[exchange]\nrest_url = 'http://127.0.0.1'",
     "exchange.rest_url = 'http://127.0.0.1'", "all three addresses or none; not set: graph_url"),
    ("mode = 'live'\n[exchange]\nrest_url = 'http://api.btcturk.com'",
     "exchange.rest_url = 'http://api.btcturk.com'", "expected https://; what is signed"),
    ("home = '/" + "x" * 100 + "'", "home = '/xxx", "allowed are 100: choose a home 21 bytes"),
    ('home = "/tmp/a\\"b"', "home = '/tmp/a\"b'", "cannot stand in a supervisord command"),
    ("[paper.balances]\nTRY = -1", "paper.balances.TRY = -1", "expected 0 or more"),
    ("[paper.balances]\nTRY = inf", "paper.balances.TRY = Infinity", "expected a finite number"),
    ("[paper.balances]\nTRY = 1e16", "paper.balances.TRY = 1E+16", "between 1e-16 and 1e15"),
    ("[paper.balances]\n'try' = 1", "paper.balances.try", "expected an asset's name"),
    ("home = '~nobody-of-that-name/x'", "home = '~nobody-of-that-name/x'", "no user of that name"),
    ("[sandbox]\nfaults = '~nobody-of-that-name/x.toml'", "faults = '~nobody-of-that-name/x.toml'",
     "no user of that name"),
    ("[paper]\nlatency_ms = -1", "paper.latency_ms = -1", ">= 0"),
    ("[paper]\nbalance = 1", "paper.balance", "paper.balances"),
    ("mode = 'live'", "live.armed = false", "must be true to trade live"),
    ("mode = 'live'\n[live]\narmed = true\nacknowledge = 'yes'", "live.acknowledge = 'yes'",
     "must be 'I_UNDERSTAND' to trade live"),
    ("mode = 'live'\n[orders]\nabsence_wait_s = 899", "orders.absence_wait_s = 899",
     "must be at least 900 to trade live"),
)  # fmt: skip
NAMES: tuple[Row, ...] = (
    ("mod = 'live'", "unknown key 'mod'", "did you mean 'mode'?"),
    ("pair = ['BTCTRY']", "unknown key 'pair'", "did you mean 'pairs'?"),
    ("[sandbox]\nprt = 1", "unknown key 'sandbox.prt'", "did you mean 'sandbox.port'?"),
    ("[sandboxes]\nport = 1", "unknown key 'sandboxes.port'", "did you mean 'sandbox.port'?"),
    ("[risk]\norder_notional_max = 1", "unknown key 'risk.order_notional_max'",
     "did you mean 'risk.order_notional_max_try'?"),
    ("[exchange]\napi_secret = 'c2VjcmV0'", "unknown key 'exchange.api_secret'",
     "did you mean 'exchange.api_secret_file'?"),
    ("[zzz]\nq = 1", "unknown key 'zzz.q'", "allowed at the top: mode, home, pairs, exchange"),
    ("[log]\nqqqq = 1", "unknown key 'log.qqqq'", "allowed in [log]: level"),
    ("[mode]\na = 1", "unknown key 'mode.a'", "did you mean 'mode'?"),
    ("risk = 5", "'risk' is a table, not a value", "its keys: risk."),
    ("mode =", "bad.toml", "not TOML"),
    ("mode = 'sandbox'\nmode = 'live'", "bad.toml", "not TOML: Cannot overwrite a value"),
)  # fmt: skip
FILES = TYPES + BOUNDS + TOGETHER + NAMES
VARIABLES: tuple[tuple[str, str, str], ...] = (  # A variable, its value, what is said.
    ("BTCBOT__MOD", "live", "unknown key 'mod'; did you mean 'mode'?"),
    ("BTCBOT__MODE", "Live", "mode = 'Live': allowed is 'sandbox'"),
    ("BTCBOT__ENV_FILE", ".env", "unknown key 'env_file'"),
    ("BTCBOT__PAIRS", "BTCTRY", "pairs = 'BTCTRY': Expected array, got str"),
    ("BTCBOT__RISK__OPEN_ORDERS_MAX", "many", "risk.open_orders_max = 'many': Expected int"),
    ("BTCBOT_MODE", "live", "did you mean BTCBOT__MODE?"),
    ("BTCBOT_ENV_FILE", ".env", "no setting; settings are named BTCBOT__SECTION__KEY"),
    ("btcbot__mode", "live", "did you mean BTCBOT__MODE?"),
    ("BTCBOT_RISK__OPEN_ORDERS_MAX", "1", "did you mean BTCBOT__RISK__OPEN_ORDERS_MAX?"),
)


def test_there_are_enough_of_them_and_each_once() -> None:
    assert len(FILES) >= 60
    assert len({text for text, _, _ in FILES}) == len(FILES)


@pytest.mark.parametrize(("text", "found", "allowed"), FILES, ids=[row[0][:60] for row in FILES])
def test_a_bad_file_is_refused_by_name_and_nothing_starts(
    terminal: Terminal, text: str, found: str, allowed: str
) -> None:
    path = terminal.write("bad.toml", text + "\n")
    before = sorted(terminal.folder.rglob("*"))

    checked = terminal.btcbot("config", "check", "-c", str(path))

    assert checked.code == exits.CONFIG, checked
    assert found in checked.err
    assert allowed in checked.err
    assert "hunter2" not in checked.err
    assert "c2VjcmV0" not in checked.err
    assert checked.out == ""
    as_json = terminal.btcbot("config", "check", "--json", "-c", str(path))
    assert as_json.code == exits.CONFIG
    assert '"ok": false' in as_json.out
    refuse_to_start(terminal, "-c", str(path))
    assert sorted(terminal.folder.rglob("*")) == before


@pytest.mark.parametrize(("name", "value", "says"), VARIABLES, ids=[row[0] for row in VARIABLES])
def test_a_bad_variable_is_refused_by_name_and_nothing_starts(
    terminal: Terminal, name: str, value: str, says: str
) -> None:
    checked = terminal.btcbot("config", "check", **{name: value})

    assert checked.code == exits.CONFIG, checked
    assert f"environment {name}: " in checked.err
    assert says in checked.err
    refuse_to_start(terminal, **{name: value})
    assert list(terminal.folder.rglob("*")) == []


def refuse_to_start(terminal: Terminal, *arguments: str, **settings: str) -> None:
    """Only for what `config check` refused: what starts here would take this process over."""
    for command in (("up", "--detach"), ("up",), ("actor", "execution")):
        ended = terminal.btcbot(*command, *arguments, **settings)
        assert ended.code == exits.CONFIG
        assert ended.reached == []
        assert "configuration: " in ended.err


def test_a_configuration_that_is_good_is_told_from_those(terminal: Terminal) -> None:
    path = terminal.write("good.toml", "pairs = ['ETHTRY']\n[risk]\nopen_orders_max = 40\n")

    done = terminal.btcbot("config", "check", "-c", str(path))

    assert done.code == exits.OK
    assert "configuration is valid: 2 keys set" in done.out
    assert "ARMED: orders go to http://127.0.0.1:8790 [mode ok" in done.out


def test_every_problem_of_a_file_is_named_at_once(terminal: Terminal) -> None:
    path = terminal.write("bad.toml", "mod = 1\n[sandbox]\nport = 'x'\n[log]\nlevel = 5\n")

    lines = terminal.btcbot("config", "check", "-c", str(path)).err.splitlines()

    assert len(lines) == 3
    assert all(str(path) in line for line in lines)
