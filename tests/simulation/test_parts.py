"""The sandbox's parts without HTTP: limits, bodies, the market, candles, the state file."""

import json
import os
from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcbot.cli.sources import source_of_files
from btcbot.domain.ids import Asset, Pair
from btcbot.domain.instruments import DOCUMENTED
from btcbot.domain.money import text
from btcbot.domain.words import Side
from btcbot.simulation.account import Rejected
from btcbot.simulation.calls import decimal, fields_of
from btcbot.simulation.defaults import START_PRICES
from btcbot.simulation.exchange import NewOrder
from btcbot.simulation.history import MINUTES_MAX, History
from btcbot.simulation.limiter import SOCKETS, Limiter
from btcbot.simulation.market import SyntheticMarket, past
from btcbot.simulation.player import Player
from btcbot.simulation.public import resolution_s
from btcbot.simulation.sandbox import Sandbox
from btcbot.simulation.statefile import StateError, StateFile

PAIR = Pair("BTCTRY")
SECOND = 1_000_000_000
MINUTE = 60 * SECOND
NOW = 1_795_000_000 * SECOND
BALANCES = {Asset("TRY"): Decimal(100_000), Asset("BTC"): Decimal("0.1")}


def sandbox(state: Path | None = None, seed: int = 1) -> Sandbox:
    file = StateFile(state) if state else None
    return Sandbox(DOCUMENTED.values(), BALANCES, NOW, seed=seed, state=file)


def resting(quantity: str = "0.001", price: str = "3000000") -> NewOrder:
    return NewOrder(
        pair=PAIR,
        side=Side.BUY,
        method="limit",
        quantity=Decimal(quantity),
        price=Decimal(price),
        client_id="mine",
    )


# --- limits -----------------------------------------------------------------------------------


def test_the_eleventh_order_of_a_second_blocks_for_a_second_from_then() -> None:
    limiter, submit = Limiter(), ("POST", "/api/v1/order")
    for n in range(10):
        assert limiter.exceeded(submit, n * SECOND // 100) is None

    refused = limiter.exceeded(submit, SECOND // 2)

    assert refused is not None
    assert (refused.limit.requests, refused.limit.policy, refused.wait_s) == (10, "account", 1)
    assert limiter.exceeded(submit, SECOND + SECOND // 4) is not None
    assert limiter.exceeded(submit, SECOND + SECOND // 2) is None


def test_a_window_opens_with_its_first_request() -> None:
    limiter, submit = Limiter(), ("POST", "/api/v1/order")
    times = [0, *(SECOND * 9 // 10 + n for n in range(9)), SECOND, *(SECOND + n for n in range(9))]

    assert [limiter.exceeded(submit, at) for at in times] == [None] * 20


def test_endpoints_have_windows_of_their_own_and_the_chart_host_has_one_more() -> None:
    limiter = Limiter()
    for n in range(120):
        assert limiter.exceeded(("GET", "/v1/ohlcs"), n) is None
    refused = limiter.exceeded(("GET", "/v1/ohlcs"), 121)
    assert refused is not None
    assert refused.wait_s == 60
    assert limiter.exceeded(("DELETE", "/api/v1/order"), 121) is None

    for n in range(480):
        assert limiter.exceeded(("GET", "/v1/klines/history"), 200 + n) is None
    refused = limiter.exceeded(("GET", "/v1/klines/history"), 999)
    assert refused is not None
    assert (refused.limit.requests, refused.limit.period, refused.wait_s) == (600, "10m", 600)


def test_fifteen_sockets_a_minute() -> None:
    limiter = Limiter()

    answers = [limiter.exceeded(SOCKETS, n * SECOND) for n in range(16)]

    assert answers[:15] == [None] * 15
    assert answers[15] is not None


# --- bodies -----------------------------------------------------------------------------------


def test_reads_numbers_with_their_own_digits_and_names_in_any_case() -> None:
    body = b'{"Quantity": 0.10000000000000001, "PRICE": "12", "stopPrice": null, "x": {"y": 1}}'
    fields = fields_of(body.replace(b', "x": {"y": 1}', b""))

    assert fields == {"quantity": "0.10000000000000001", "price": "12", "stopprice": ""}
    with pytest.raises(Rejected, match="INVALID_REQUEST_ERROR"):
        fields_of(body)


@given(st.one_of(st.binary(max_size=200), st.just(b"[" * 100_000), st.just(b'{"a":"\xff"}')))
def test_any_body_is_read_or_refused(body: bytes) -> None:
    try:
        assert isinstance(fields_of(body), dict)
    except Rejected as no:
        assert no.code == 1037  # noqa: PT017


@pytest.mark.parametrize("given", ["1e5", "-1", "+1", " 1", "1_000", "NaN", "Infinity", "٣", "1."])
def test_refuses_what_is_no_amount(given: str) -> None:
    with pytest.raises(Rejected, match="FAILED_ORDER_PARAMETER"):
        decimal(given)


def test_resolutions_come_in_many_spellings() -> None:
    spelled = {
        "1": 60,
        "240": 14_400,
        "1D": 86_400,
        "1 d": 86_400,
        "1W": 604_800,
        "1 y": 31_536_000,
    }
    assert {asked: resolution_s(asked) for asked in spelled} == spelled
    for wrong in ("", "0", "x", "7 q", "-1", "12 d"):
        with pytest.raises(Rejected):
            resolution_s(wrong)


# --- the synthetic market ---------------------------------------------------------------------


@pytest.mark.parametrize("pair", list(DOCUMENTED))
def test_the_synthetic_book_is_never_crossed_and_always_on_scale(pair: Pair) -> None:
    rules = DOCUMENTED[pair]
    market = SyntheticMarket(rules, START_PRICES[pair], 3)
    bids: dict[Decimal, Decimal] = {}
    asks: dict[Decimal, Decimal] = {}

    for _ in range(500):
        moves = market.step(0.19)
        for levels, changes in ((bids, moves.bids), (asks, moves.asks)):
            for price, quantity in changes:
                assert price == price.quantize(Decimal(1).scaleb(-rules.price_scale))
                assert quantity == rules.quantity_down(quantity)
                levels[price] = quantity
                if not quantity:
                    del levels[price]
        assert max(bids) < min(asks)
        assert (min(asks) - max(bids)) / min(asks) < Decimal("0.003")
        assert 50 <= len(bids) <= 70
        assert 50 <= len(asks) <= 70


def test_one_seed_is_one_market_and_another_seed_another() -> None:
    def moves(seed: int) -> list[object]:
        market = SyntheticMarket(DOCUMENTED[PAIR], START_PRICES[PAIR], seed)
        return [market.step(0.2) for _ in range(50)]

    assert moves(1) == moves(1)
    assert moves(1) != moves(2)


def test_moves_enough_for_a_demonstration_and_comes_back() -> None:
    market = SyntheticMarket(DOCUMENTED[PAIR], START_PRICES[PAIR], 1)
    middles = []
    for _ in range(3_600):
        market.step(1)
        middles.append(market.middle)

    minutes = [abs(b / a - 1) for a, b in zip(middles, middles[60:], strict=False)]
    assert 0.002 < sum(minutes) / len(minutes) < 0.01
    assert max(middles) / min(middles) < 1.15


@pytest.mark.parametrize("seconds", [0.001, 30.0, 190.0, 10_000.0])
def test_any_step_in_time_is_taken(seconds: float) -> None:
    market = SyntheticMarket(DOCUMENTED[PAIR], START_PRICES[PAIR], 1)

    for _ in range(20):
        market.step(seconds)

    assert 0.7 < market.middle / float(START_PRICES[PAIR]) < 1.3


# --- candles ----------------------------------------------------------------------------------


def history(minutes: int = 5) -> History:
    rows = [(100.0 + n, 104.0 + n, 99.0 + n, 101.0 + n, 2.0) for n in range(minutes)]
    return History(DOCUMENTED[PAIR], rows, 1_000, NOW // MINUTE * MINUTE)


def test_trades_make_the_running_candle() -> None:
    past_ = history()
    start = NOW // MINUTE * MINUTE
    for price, at_ns in ((110, 0), (120, 10), (90, 20), (95, 30)):
        past_.add(Side.BUY, Decimal(price), Decimal("0.5"), start + at_ns * SECOND)

    [running] = past_.candles(60, start // SECOND, start // SECOND + 59, 10)

    prices = [running.open, running.high, running.low, running.close]
    assert list(map(int, prices)) == [110, 120, 90, 95]
    assert running.volume == 2
    assert running.turnover == Decimal("207.5")


def test_larger_candles_are_made_of_minutes() -> None:
    past_ = history(minutes=600)

    for candle in past_.candles(900, 0, NOW // SECOND, 5):
        assert candle.start_s % 900 == 0
        minutes = past_.candles(60, candle.start_s, candle.start_s + 899, 100)
        assert candle.open == minutes[0].open
        assert candle.close == minutes[-1].close
        assert candle.high == max(row.high for row in minutes)
        assert candle.low == min(row.low for row in minutes)
        assert candle.volume == sum(row.volume for row in minutes)


def test_a_minute_without_trades_stays_at_the_last_price() -> None:
    past_ = history()
    later = NOW // MINUTE * MINUTE + 3 * MINUTE

    past_.advance(later)

    rows = past_.candles(60, 0, later // SECOND, 100)
    assert len(rows) == 9
    assert [row.close for row in rows[-4:]] == [105] * 4
    assert [row.volume for row in rows[-4:]] == [0] * 4


def test_remembers_three_days_and_no_more() -> None:
    past_ = history(minutes=MINUTES_MAX)

    for n in range(300):
        past_.add(Side.SELL, Decimal(100), Decimal(1), NOW + n * MINUTE)

    rows = past_.candles(60, 0, NOW // SECOND + 400 * 60, 99_999)
    assert MINUTES_MAX <= len(rows) <= MINUTES_MAX + 61
    assert [b.start_s - a.start_s for a, b in pairwise(rows)] == [60] * (len(rows) - 1)
    assert past_.day().volume == sum(row.volume for row in rows[-1_440:])


def test_nothing_in_range_is_no_candle() -> None:
    assert history().candles(60, NOW // SECOND + 999, NOW // SECOND + 1_999, 10) == []
    assert history().candles(60, 0, 0, 10) == []


def test_a_made_up_past_ends_where_the_market_begins() -> None:
    rows = past(DOCUMENTED[PAIR], Decimal(4_000_000), 5, 100)

    assert rows[-1][3] == 4_000_000
    for row, following in pairwise(rows):
        opened, high, low, closed, volume = row
        assert low <= min(opened, closed) <= max(opened, closed) <= high
        assert closed == following[0]
        assert volume > 0


# --- the sandbox and its state file -----------------------------------------------------------


def test_our_orders_stand_in_the_book_that_everybody_sees() -> None:
    made = sandbox()
    bids, _ = made.window(PAIR)
    inside = bids[0][0] + 1

    made.exchange.submit(resting("0.001", str(inside)), NOW)
    made.exchange.submit(resting("0.002", str(bids[0][0])), NOW)

    seen, _ = made.window(PAIR)
    assert seen[0] == (inside, Decimal("0.001"))
    assert seen[1] == (bids[0][0], bids[0][1] + Decimal("0.002"))


def test_our_trades_are_public_trades_once() -> None:
    made = sandbox()
    made.settle(NOW)
    made.untold.clear()
    ask = made.window(PAIR)[1][0][0]

    order = made.exchange.submit(resting("0.0005", str(ask)), NOW)
    assert made.exchange.account.trades
    made.settle(NOW)

    ours = [trade for pair, trade in made.untold if pair == PAIR]
    assert sum(trade.quantity for trade in ours) == order.quantity - order.left
    assert {trade.side for trade in ours} == {Side.BUY}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


def test_another_life_goes_on_where_the_first_was_killed(folder: Path) -> None:
    first = sandbox(folder)
    kept = first.exchange.submit(resting(), NOW)
    ask = first.window(PAIR)[1][0][0]
    first.exchange.submit(resting("0.0005", str(ask + 5_000)), NOW)
    for n in range(300):
        first.step(1, NOW + n)
    price = first.exchange.markets[PAIR].price
    first.exchange.cancel(kept.id, NOW + 400)
    reopened = first.exchange.submit(resting(), NOW + 401)
    first.settle(NOW + 500)  # No close: it was killed.

    second = sandbox(folder)

    assert second.exchange.account.orders == first.exchange.account.orders
    assert second.exchange.account.trades == first.exchange.account.trades
    assert second.exchange.balances() == first.exchange.balances()
    assert abs(second.exchange.markets[PAIR].price / price - 1) < Decimal("0.01")
    assert [order.id for order in second.exchange.open_orders(NOW + 600)] == [reopened.id]
    assert second.exchange.submit(resting(), NOW + 700).id > reopened.id
    assert second.histories[PAIR].tid >= first.histories[PAIR].tid - 1_000


def test_a_torn_last_line_is_dropped_and_nothing_is_appended_to_it(folder: Path) -> None:
    first = sandbox(folder)
    first.exchange.submit(resting(), NOW)
    first.settle(NOW)
    path = folder / "account.jsonl"
    with path.open("ab") as file:
        file.write(b'{"orders":[{"id":9')

    second = sandbox(folder)
    second.exchange.submit(resting(), NOW)
    second.settle(NOW)

    assert len(sandbox(folder).exchange.account.orders) == 2
    assert all(json.loads(line) for line in path.read_bytes().splitlines())


def test_a_state_file_that_is_not_ours_is_refused_by_line(folder: Path) -> None:
    folder.mkdir()
    (folder / "account.jsonl").write_bytes(b'{"orders":[]}\n{"surprise":1}\n{}\n')

    with pytest.raises(StateError, match=r"account\.jsonl:2: .*surprise"):
        sandbox(folder)


def test_a_state_with_orders_of_other_pairs_is_refused(folder: Path) -> None:
    first = sandbox(folder)
    first.exchange.submit(resting(), NOW)
    first.settle(NOW)

    with pytest.raises(StateError, match="BTCTRY"):
        Sandbox([DOCUMENTED[Pair("ETHTRY")]], BALANCES, NOW, state=StateFile(folder))


def test_the_file_is_written_anew_as_one_line_readable_by_its_owner(folder: Path) -> None:
    first = sandbox(folder)
    for n in range(20):
        first.exchange.submit(resting(), NOW + n)
        first.settle(NOW + n)
    path = folder / "account.jsonl"
    assert len(path.read_bytes().splitlines()) > 20

    StateFile(folder).load()

    assert len(path.read_bytes().splitlines()) == 1
    assert path.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700


def test_what_is_said_is_on_the_disk_and_so_is_the_name_of_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, synced = folder / "account.jsonl", []

    def watched(sync: Callable[[int], None]) -> Callable[[int], None]:
        def noting(descriptor: int) -> None:
            at = Path(f"/proc/self/fd/{descriptor}").readlink()
            synced.append((at.name, at.stat().st_size if at.is_file() else 0))
            sync(descriptor)

        return noting

    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, watched(getattr(os, name)))

    first = sandbox(folder)
    assert [name for name, _ in synced[:2]] == ["account.new", folder.name]  # Whole, then named.
    for n in range(3):
        first.exchange.submit(resting(), NOW + n)
        first.settle(NOW + n)
        assert synced[-1] == ("account.jsonl", path.stat().st_size)


# --- a recording instead ----------------------------------------------------------------------


def test_plays_a_recording_for_its_pair_over_and_over(tmp_path: Path) -> None:
    path = tmp_path / "quotes.csv"
    rows = [f"{NOW + n * SECOND // 2},{61_600 + n}.01,1.5,{61_600 + n}.02,2" for n in range(10)]
    path.write_text("\n".join(["recv_ns,bid,bid_qty,ask,ask_qty", *rows, ""]))
    rules = DOCUMENTED[PAIR]
    made = Sandbox([rules], BALANCES, NOW, source=Player(source_of_files((path,)), rules))

    seen = []
    for n in range(12):
        made.step(1, NOW + n * SECOND)
        market = made.exchange.markets[PAIR]
        seen.append((text(market.bid), text(market.ask)))

    assert seen[0] != seen[1]
    assert len(set(seen)) > 3
    assert any(int(b) < int(a) for (a, _), (b, _) in pairwise(seen))  # It began again.
    for bid, ask in seen:
        assert 3_990_000 < Decimal(bid) < Decimal(ask) < 4_010_000
