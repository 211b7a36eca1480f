"""WebSocket frames read into messages, and what each type that is not for us becomes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcbot.btcturk import frames, public_frames
from btcbot.btcturk.grammar import WireError, level
from btcbot.domain.feed import (
    BookChange,
    BookSnapshot,
    FeedTrouble,
    FrameSeen,
    SeenTicker,
    SeenTrade,
    TextLevel,
    TickersSeen,
    TradesSeen,
)
from btcbot.domain.ids import Pair
from btcbot.domain.messages import Message
from btcbot.domain.money import MoneyError, Price, Quantity, parse
from btcbot.domain.words import Side


def public(kind: int, body: Any) -> Message | None:
    frame = json.dumps([kind, body], separators=(",", ":")).encode()
    return public_frames.read(frame, {"BTCTRY", "BTCUSDT"})[1]


def book(**changes: Any) -> dict[str, Any]:
    sides = {"AO": [{"A": "0.1", "P": "3715990"}], "BO": [{"A": "0.3", "P": "3712281"}]}
    return {"CS": 100, "PS": "BTCTRY", **sides, "channel": "obdiff", "event": "BTCTRY", **changes}


def trade(**changes: Any) -> dict[str, Any]:
    row = {"D": "1647588210843", "I": "101963781951665674", "A": "0.0002456604"}
    return {**row, "P": "40670.0000000000", "PS": "BTCUSDT", "S": 0, "type": 422, **changes}


def test_a_snapshot_of_the_difference_channel_is_a_book() -> None:
    found = public(431, book(AO=[{"A": "0.1", "P": "5"}, {"A": "0.00000000", "P": "6"}], BO=None))

    assert found == BookSnapshot(
        pair=Pair("BTCTRY"),
        change_set=100,
        bids=b"[]",
        asks=b'[{"A":"0.1","P":"5"},{"A":"0.00000000","P":"6"}]',
    )


def test_a_book_of_another_channel_only_shows_life() -> None:
    assert public(431, book(channel="orderbook")) == FrameSeen()


def test_changes_replace_add_and_remove() -> None:
    found = public(
        432,
        book(
            AO=[
                {"CP": 0, "P": "2770.3", "A": "0.400488"},
                {"CP": 1, "P": "2769", "A": "1.98627663"},
                {"CP": 3, "P": "2769.6", "A": "1.98584633"},
            ],
            BO=[{"CP": 0, "P": "2765.9", "A": "0.000"}],
        ),
    )

    assert isinstance(found, BookChange)
    assert found.asks == (
        TextLevel("2770.3", "0.400488"),
        TextLevel("2769", "1.98627663"),
        TextLevel("2769.6", "0"),
    )
    assert found.bids == (TextLevel("2765.9", "0"),)


def test_a_change_of_a_kind_nobody_documented_is_refused_so_that_a_gap_shows() -> None:
    with pytest.raises(WireError, match="CP is 2"):
        public(432, book(AO=[{"CP": 2, "P": "5", "A": "1"}], BO=[]))


def test_trades_are_read_with_the_takers_side() -> None:
    row = SeenTrade(
        trade_id=101963781951665674,
        side=Side.SELL,
        price=Price(parse("40670.0000000000")),
        quantity=Quantity(parse("0.0002456604")),
        event_ns=1_647_588_210_843_000_000,
    )

    assert public(422, trade()) == TradesSeen(pair=Pair("BTCUSDT"), trades=(row,), is_backlog=False)


def test_a_backlog_is_sorted_by_id() -> None:
    items = [trade(I="9", S=1), trade(I="7"), trade(I="100")]
    found = public(421, {"symbol": "BTCTRY", "items": items})

    assert isinstance(found, TradesSeen)
    assert found.is_backlog
    assert [row.trade_id for row in found.trades] == [7, 9, 100]
    assert found.trades[1].side is Side.BUY


@pytest.mark.parametrize(
    "changes",
    [
        {"S": 2}, {"S": "1"}, {"I": "0"}, {"I": "-1"}, {"I": "1" * 20}, {"I": "9" * 9_999},
        {"I": "9223372036854775808"}, {"I": "٣"}, {"D": "x"}, {"D": "99999999999999"}, {"P": "0"},
        {"P": "-1"}, {"A": "0.000"}, {"A": "1e5"}, {"A": 1}, {"PS": 5},
    ],
)  # fmt: skip
def test_a_trade_with_any_wrong_part_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(WireError):
        public(422, trade(**changes))


@pytest.mark.parametrize("changes", [{"CS": -1}, {"CS": 1 << 63}, {"CS": "5"}, {"PS": None}])
def test_a_book_with_any_wrong_part_is_refused(changes: dict[str, Any]) -> None:
    for kind in (431, 432):
        with pytest.raises(WireError):
            public(kind, book(**changes))


@pytest.mark.parametrize(
    "row",
    [
        {"P": "NaN"}, {"P": "-1"}, {"P": "1e5"}, {"P": " 1"}, {"P": "1_0"}, {"P": "\u0663"},
        {"A": "Infinity"}, {"A": "+1"}, {"A": "1,5"}, {"P": 5}, {"A": None},
    ],
)  # fmt: skip
def test_one_level_that_is_no_number_spoils_a_snapshot(row: dict[str, Any]) -> None:
    good = {"A": "0.1", "P": "3715990"}
    with pytest.raises(WireError):
        public(431, book(AO=[good, {**good, **row}, good]))


def test_levels_with_fields_in_any_order_and_unknown_ones_are_read() -> None:
    rows = [{"P": "5", "A": "1"}, {"P": "6", "A": "1", "new": "x"}]
    found = public(431, book(AO=rows, BO=[]))

    assert isinstance(found, BookSnapshot)
    assert found.asks == b'[{"P":"5","A":"1"},{"P":"6","A":"1"}]'
    assert found.bids == b"[]"


def ticker(pair: str, **changes: Any) -> dict[str, Any]:
    row = {"B": "10", "A": "11", "BA": "1", "AA": "1", "LA": "10.5", "V": "31.5", "D": "-5"}
    return {**row, "PS": pair, "DP": "-0.38", "PId": 1, "Ord": 0, **changes}


def test_tickers_of_the_wanted_pairs_are_read_and_an_odd_one_costs_no_other_its_pulse() -> None:
    rows = [ticker("BTCTRY"), ticker("DOGETRY", B="?"), ticker("BTCUSDT", B="", A="0", V="1e3")]

    assert public(401, {"items": rows, "channel": "ticker", "event": "all"}) == TickersSeen(
        rows=(
            SeenTicker(
                Pair("BTCTRY"), Price(parse("10")), Price(parse("11")), Price(parse("10.5")),
                parse("31.5"),
            ),
            SeenTicker(Pair("BTCUSDT"), None, None, Price(parse("10.5")), None),
        )
    )  # fmt: skip
    assert public(402, ticker("ETHTRY")) == TickersSeen(rows=())


def test_a_running_candle_only_shows_life() -> None:
    row = {"D": 1787684400, "P": "BTCTRY", "R": "60", "O": "1", "H": "2", "L": "1", "C": "2"}

    assert public(428, {**row, "V": "0.5", "type": 428}) == FrameSeen()


def test_what_the_exchange_has_to_say_is_passed_on() -> None:
    said = public(801, {"type": 801, "id": 0, "ok": False, "message": "maintenance at noon"})

    assert said == FeedTrouble(what="the exchange says", detail="maintenance at noon")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (100, {"type": 100, "ok": True, "message": "join|obdiff:NOSUCH"}),
        (991, {"type": 991, "current": "6.0.0", "min": "2.3.0"}),
        (114, {}),
        (4_711, {}),
    ],
)
def test_other_frames_are_no_data(kind: int, body: dict[str, Any]) -> None:
    assert public(kind, body) is None
    assert kind not in public_frames.DATA


@pytest.mark.parametrize("kind", [100, 401, 402, 428, 991])
def test_a_documented_frame_of_another_shape_is_refused(kind: int) -> None:
    with pytest.raises(WireError):
        public(kind, {"anything": ["goes"]})


def test_a_frame_with_spaces_is_the_same_frame() -> None:
    spaced = json.dumps([422, trade()], indent=1).encode()

    assert public_frames.read(spaced, ()) == (422, public(422, trade()))


def test_a_join_is_an_array_of_its_type_and_the_request() -> None:
    assert json.loads(frames.join("obdiff", "BTCTRY")) == [
        151,
        {"type": 151, "channel": "obdiff", "event": "BTCTRY", "join": True},
    ]
    assert json.loads(frames.join("trade", "X", is_joining=False))[1]["join"] is False


@pytest.mark.parametrize(
    "frame", ["", "{}", "[]", "[432]", '["432",{}]', "[432,{}] ", b"\xff", "[" * 9_999, "[1,2,3]"]
)
def test_what_is_no_frame_is_refused(frame: str | bytes) -> None:
    with pytest.raises(WireError):
        public_frames.read(frame.encode() if isinstance(frame, str) else frame, ())


def test_a_frame_past_a_mebibyte_is_not_read() -> None:
    with pytest.raises(WireError, match="allowed are 1048576"):
        frames.split(b"[" + b" " * frames.FRAME_MAX)
    with pytest.raises(WireError, match="allowed are 1048576"):
        public_frames.read(b"[431," + b" " * frames.FRAME_MAX, ())


@given(
    at=st.integers(0, 200),
    junk=st.binary(max_size=8) | st.sampled_from([b"9" * 5_000, b"[" * 5_000, b"\\ud800"]),
    cut=st.integers(0, 8),
    frame=st.sampled_from([(431, book()), (432, book()), (422, trade())]),
)
def test_a_garbled_frame_is_read_or_refused_and_nothing_else(
    at: int, junk: bytes, cut: int, frame: tuple[int, Any]
) -> None:
    raw = json.dumps(frame).encode()
    try:
        garbled = raw[:at] + junk + raw[at + cut :]
        public_frames.read(garbled, ())
        frames.split(garbled)
    except WireError as error:
        assert len(str(error)) < 400  # noqa: PT017 - most are read


numbers = st.from_regex(r"-?[0-9]{0,17}(\.[0-9]{0,18})?", fullmatch=True) | st.text(max_size=6)


@given(price=numbers, amount=numbers)
def test_a_level_passes_exactly_when_money_would_parse_it(price: str, amount: str) -> None:
    try:
        is_good = parse(price) > 0 and parse(amount) >= 0 and "-" not in price + amount
    except MoneyError:
        is_good = False
    try:
        found = level(price, amount)
    except WireError:
        assert not is_good
    else:
        assert is_good
        assert parse(found.price) == parse(price)
        assert parse(found.amount) == parse(amount)
        assert (found.amount == "0") == (parse(amount) == 0)
