"""Money in a backtest: the exchange model adds up after every event, and our books agree."""

from collections.abc import Iterator
from decimal import Decimal
from itertools import islice
from pathlib import Path

import pytest

from btcbot import backtest
from btcbot.backtest import Plan, Stage
from btcbot.cli.sources import source_of_files
from btcbot.domain.facts import Discrepancy
from btcbot.domain.ids import Asset, Pair
from btcbot.domain.instruments import DOCUMENTED
from btcbot.domain.money import BPS_IN_ONE, text
from btcbot.domain.recorded import Happening
from btcbot.domain.words import Side
from btcbot.simulation.recording import open_recording
from btcbot.strategies import profit_aware
from tests.backtest.tapes import depth_rows, l2_recording, quote_rows, trade_rows, write

PAIR, BTC, TRY = Pair("BTCTRY"), Asset("BTC"), Asset("TRY")
RULES = DOCUMENTED[PAIR]
SEEDS = range(1, 6)


def plan(*, has_codec: bool = False) -> Plan:
    return Plan(strategy="profit_aware", params=profit_aware.DEMO, pair=PAIR, has_codec=has_codec)


def tape(folder: Path, seed: int) -> Path:
    """Write one of three forms, by the seed."""
    kinds = (("d.jsonl", depth_rows), ("q.csv", quote_rows), ("t.csv", trade_rows))
    name, rows = kinds[seed % 3]
    return write(folder / f"{seed}{name}", rows(seed=seed, seconds=240))


def events(*paths: Path) -> Iterator[Happening]:
    return open_recording(source_of_files(paths), RULES).events


def assert_conserved(stage: Stage) -> None:
    """Cash, units and fees of the account follow from its trades; holds from its open orders."""
    account, fees = stage.exchange.account, plan().fees[TRY]
    cash, units = backtest.BALANCES[TRY], Decimal(0)
    for trade in account.trades:
        notional = trade.price * trade.quantity
        sign = 1 if trade.side is Side.BUY else -1
        cash -= sign * notional + trade.fee + trade.tax
        units += sign * trade.quantity
        owed = notional * (fees.maker_bps if trade.is_maker else fees.taker_bps) / BPS_IN_ONE
        assert 0 <= owed - trade.fee - trade.tax < Decimal("0.00000003")
    assert account.balances[TRY].total == cash
    assert account.balances[BTC].total == units
    held = {Side.BUY: Decimal(0), Side.SELL: Decimal(0)}
    for order in account.orders.values():
        held[order.side] += order.hold
    assert account.balances[TRY].locked == held[Side.BUY] <= cash
    assert account.balances[BTC].locked == held[Side.SELL] <= units


def watched(stage: Stage, source: Iterator[Happening]) -> Iterator[Happening]:
    """Yield events; look at the account after each one was played."""
    for event in source:
        yield event
        assert_conserved(stage)


def played(source: Iterator[Happening]) -> Stage:
    first = next(source)
    stage = Stage(plan(), first.at_ns, keeps_log=True)
    stage.play(watched(stage, iter((first, *source))))
    assert_conserved(stage)
    return stage


def assert_books_agree(stage: Stage, result: backtest.Result) -> None:
    """Compare what execution wrote down and accounting says with what the exchange has."""
    account = stage.exchange.account
    theirs = [(t.id, t.order_id, text(t.quantity), text(t.price), text(t.fee), text(t.tax))
              for t in account.trades]  # fmt: skip
    ours = [(f["trade_id"], f["order_id"], f["quantity"], f["price"], f["fee"], f["tax"])
            for f in result.fills]  # fmt: skip
    assert sorted(ours) == sorted(theirs)
    assert {row["order_id"] for row in result.orders} == set(account.orders)
    assert {row["state"] for row in result.orders} <= {"CLOSED", "REJECTED"}
    for row in result.orders:
        order = account.orders[row["order_id"]]
        assert row["filled"] == text(order.quantity - order.left)
    assert result.account is not None
    shown = {row.asset: (row.total, row.free) for row in result.account.balances if row.total}
    held = {a: (b.total, b.free) for a, b in account.balances.items() if b.total}
    assert shown == held
    [position] = result.account.positions
    assert position.quantity == account.balances[BTC].total
    assert not stage.bus.heard(Discrepancy)


@pytest.mark.parametrize("seed", SEEDS)
def test_after_every_event_the_exchange_adds_up_and_at_the_end_our_books_agree(
    tmp_path: Path, seed: int
) -> None:
    stage = played(events(tape(tmp_path, seed)))

    result = stage.result(0, 0)

    assert len(result.fills) > 3, "the tape must make it trade"
    assert_books_agree(stage, result)


def test_on_the_full_depth_recording_our_books_agree_with_the_exchange() -> None:
    result, stage = backtest.run(plan(), events(*l2_recording()), keeps_log=True)

    assert result.fills
    assert_conserved(stage)
    assert_books_agree(stage, result)


def said(source: Iterator[Happening], *, has_codec: bool) -> list[str]:
    _, stage = backtest.run(plan(has_codec=has_codec), source, keeps_log=True)
    return [repr(message) for message in stage.bus.log]


@pytest.mark.parametrize("seed", SEEDS)
def test_with_the_codec_on_every_message_is_the_same(tmp_path: Path, seed: int) -> None:
    path = tape(tmp_path, seed)

    plain, coded = (said(events(path), has_codec=flag) for flag in (False, True))

    assert len(plain) > 500
    assert any("Fill(" in message for message in plain)
    assert plain == coded


def test_with_the_codec_on_a_part_of_the_full_depth_recording_says_the_same() -> None:
    paths = l2_recording()

    plain, coded = (said(islice(events(*paths), 6_000), has_codec=flag) for flag in (False, True))

    assert any("Fill(" in message for message in plain)
    assert plain == coded


def test_the_codec_is_really_used_when_it_is_on(tmp_path: Path) -> None:
    path = tape(tmp_path, 1)
    first = next(events(path))
    for has_codec in (False, True):
        stage = Stage(plan(has_codec=has_codec), first.at_ns)
        stage.play(events(path))
        [said] = [feed.quotes.top for feed in stage.bus.state("market_data").feeds.values()]
        heard = stage.bus.state("strategy").tops[said.pair]

        assert heard == said
        assert (heard is said) is not has_codec  # Bytes make a copy.
