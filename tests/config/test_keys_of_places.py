"""Proofs that keys of files, ports, addresses and capture change what is opened and written."""

import asyncio
import io
import json
import logging
import socket
import time
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec import Struct

from btcbot import logs
from btcbot.chosen import chosen_of
from btcbot.cli import exits, fleet
from btcbot.cli.life import disk_of, paper_of
from btcbot.cli.process import sandbox_of
from btcbot.domain.ids import Asset
from btcbot.domain.venue import BalancesRead, ReadBalances
from btcbot.domain.words import Side
from btcbot.opening import open_desk
from btcbot.secret import SecretError, write_secret
from btcbot.simulation.faults import PRESETS
from btcbot.store.disk import MIB
from btcbot.strategies import ema_cross, profit_aware
from bus.clock import SystemClock
from tests.builders import BTCTRY
from tests.config.settled import configured
from tests.processes.fleet import free_port
from tests.simulation.test_exchange import exchange, limit

SECRET = "c2VjcmV0IG9mIGEgdGVzdA=="
NOW_NS = 1_795_000_000_000_000_000


def test_the_addresses_are_those_that_are_set() -> None:
    mine = configured(
        mode="live",
        exchange__rest_url="https://rest.example",
        exchange__graph_url="https://graph.example",
        exchange__ws_url="wss://ws.example/ws",
    ).addresses

    assert (mine.rest, mine.graph, mine.ws) == (
        "https://rest.example", "https://graph.example", "wss://ws.example/ws",
    )  # fmt: skip
    assert configured(mode="live").addresses.rest == "https://api.btcturk.com"
    assert configured().addresses.rest == "http://127.0.0.1:8790"


def test_the_key_is_read_from_the_files_that_are_set(tmp_path: Path) -> None:
    key, secret = tmp_path / "key", tmp_path / "secret"
    write_secret(key, "a-key-of-mine")
    write_secret(secret, SECRET)
    files = {"exchange__api_key_file": str(key), "exchange__api_secret_file": str(secret)}

    opened = open_desk(configured(**files, home=str(tmp_path)), NOW_NS)
    opened.writer.close()

    assert opened.keys is not None
    assert [secret.reveal() for secret in opened.keys] == ["a-key-of-mine", SECRET]
    for name in files:
        with pytest.raises(SecretError, match="no-such"):
            open_desk(configured(**{**files, name: "/tmp/no-such"}, home=str(tmp_path)), NOW_NS)


def asked_of_paper(home: Path, **keys: object) -> tuple[dict[str, Decimal], float]:
    """Return what a fresh paper account holds, and after how many seconds it said so."""
    config = configured(mode="paper", home=str(home), **keys)

    async def ask() -> tuple[dict[str, Decimal], float]:
        heard: asyncio.Queue[Struct] = asyncio.Queue()
        venue = paper_of(config, heard.put_nowait, SystemClock())
        began = time.monotonic()
        venue.start(ReadBalances())
        while not isinstance(said := await heard.get(), BalancesRead):
            pass
        took_s = time.monotonic() - began
        await venue.close()
        return {str(row.asset): row.total for row in said.balances}, took_s

    return asyncio.run(ask())


def test_the_paper_account_is_the_one_that_is_set(tmp_path: Path) -> None:
    set_to, _ = asked_of_paper(tmp_path / "a", paper__balances__TRY=250, paper__balances__BTC="0.5")
    usual, _ = asked_of_paper(tmp_path / "b")

    assert set_to == {"TRY": Decimal(250), "BTC": Decimal("0.5")}
    assert usual == {"TRY": Decimal(100_000)}


def test_latency_ms_is_how_long_a_paper_request_takes_each_way(tmp_path: Path) -> None:
    _, took_s = asked_of_paper(tmp_path / "a", paper__latency_ms=150)

    assert took_s >= 0.3


def test_the_sandbox_is_run_with_the_keys_of_its_section(tmp_path: Path) -> None:
    config = configured(home=str(tmp_path))
    fleet.make_folders(config)
    fleet.write_keys(config)
    tape = tmp_path / "tape.jsonl"
    tape.touch()

    usual = sandbox_of(config)
    changed = sandbox_of(
        configured(
            home=str(tmp_path), sandbox__port=1234, sandbox__seed=7, sandbox__speed=3,
            sandbox__faults="flaky", sandbox__data=str(tape),
        )
    )  # fmt: skip

    assert (usual.port, usual.seed, usual.speed, usual.data) == (8790, 1, 1.0, ())
    assert (changed.port, changed.seed, changed.speed) == (1234, 7, 3.0)
    assert changed.data == (tape,)
    assert changed.faults == PRESETS["flaky"] != usual.faults


@pytest.mark.parametrize(
    ("key", "other"),
    [("sandbox__port", "dashboard__port"), ("dashboard__port", "sandbox__port")],
)
def test_a_port_that_is_set_is_the_one_that_has_to_be_free(
    key: str, other: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fleet, "PORT_WAIT_S", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])

        with pytest.raises(SystemExit) as ended:
            fleet.check_ports(configured(**{key: port, other: free_port()}))

    assert ended.value.code == exits.TRY_LATER
    assert f"127.0.0.1:{port} is taken" in capsys.readouterr().err


def test_reserve_mb_is_the_room_that_is_kept(tmp_path: Path) -> None:
    assert disk_of(configured(home=str(tmp_path), store__reserve_mb=2)).look().is_reserved
    assert (tmp_path / "reserve").stat().st_size == 2 * MIB


def test_the_strategy_and_its_parameters_are_those_that_are_set() -> None:
    [usual] = chosen_of(configured()).setup.seats
    [other] = chosen_of(
        configured(strategy__name="ema_cross", strategy__params__fast=3, strategy__params__slow=9)
    ).setup.seats

    assert (usual.name, usual.params) == ("profit_aware", profit_aware.DEMO)
    assert other.name == "ema_cross"
    assert isinstance(other.params, ema_cross.Params)
    assert (other.params.fast, other.params.slow) == (3, 9)


def test_maker_bps_is_what_a_backtest_charges_an_order_that_rested() -> None:
    charged = {}
    for rate in (0, 100):
        made = exchange()
        asset = Asset("TRY")
        made.account.fees = {asset: configured(exchange__maker_bps=Decimal(rate)).fees(asset)}
        made.submit(limit(Side.SELL, 100_030, "1"), 1)
        made.print_trade(BTCTRY, Side.BUY, Decimal(100_040), Decimal(1), 2)
        [trade] = made.account.trades
        charged[rate] = trade.fee + trade.tax

    assert charged[0] == 0
    assert round(charged[100], 2) == Decimal("1000.30")  # A hundredth, tax included.


def test_log_level_is_the_least_that_is_written() -> None:
    said = {}
    root = logging.getLogger()
    before = (root.level, list(root.handlers))
    try:
        for level in ("warning", "debug"):
            out = io.StringIO()
            chosen = configured(log__level=level).log.level
            logs.configure("execution", run_id="r", mode="sandbox", level=chosen, stream=out)
            logging.getLogger("btcbot.test").info("seldom_seen")
            said[level] = [json.loads(line)["event"] for line in out.getvalue().splitlines()]
    finally:
        root.setLevel(before[0])
        root.handlers = before[1]
        logging.captureWarnings(capture=False)

    assert said == {"warning": [], "debug": ["seldom_seen"]}
