"""What the exchange tells of the past: charts and trades, read strictly."""

from decimal import Decimal
from pathlib import Path

import pytest

from btcbot.btcturk.grammar import WireError
from btcbot.btcturk.history import chart, trades
from btcbot.domain.words import Side

SAMPLES = Path(__file__).parents[3] / "shared" / "btcturk-samples"
GOOD = b'{"s":"ok","t":[60,120],"o":[1,2.10],"h":[3,4],"l":[1,1e0],"c":[2,3],"v":[0,1E-08]}'


def test_numbers_of_a_chart_are_exact() -> None:
    first, second = chart(GOOD)
    assert list(map(str, first)) == ["60", "1", "3", "1", "2", "0"]
    assert list(second) == [120, Decimal("2.1"), 4, 1, 3, Decimal("0.00000001")]


def test_no_data_is_no_candles() -> None:
    assert chart(b'{"s":"no_data","t":[]}') == ()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'"ok"', b'"error"'),
        (b"[60,120]", b"[60]"),
        (b"[60,120]", b"[60,60]"),
        (b'"h":[3,4]', b'"h":[3,2]'),
        (b'"l":[1,1e0]', b'"l":[0,1]'),
        (b'"v":[0,', b'"v":[-1,'),
        (b'"v":[0,', b'"v":[NaN,'),
        (b'"c":[2,3]', b'"c":["two",3]'),
    ],
)
def test_a_chart_that_makes_no_sense_is_refused(before: bytes, after: bytes) -> None:
    assert before in GOOD
    with pytest.raises(WireError):
        chart(GOOD.replace(before, after))


def test_trades_come_oldest_first() -> None:
    row = '{"date":%d,"tid":"%d","price":"100.50","amount":"0.1","side":"%s"}'
    body = '{"data":[' + row % (2, 8, "sell") + "," + row % (1, 7, "buy") + "]}"
    first, second = trades(body.encode())
    assert (first.trade_id, first.side, first.event_ns) == (7, Side.BUY, 1_000_000)
    assert (second.trade_id, second.price) == (8, Decimal("100.5"))


@pytest.mark.parametrize("wrong", ['"side":"both"', '"tid":"x"', '"price":"0"', '"amount":"-1"'])
def test_a_trade_that_makes_no_sense_is_refused(wrong: str) -> None:
    row = {"date": "1", "tid": '"7"', "price": '"1"', "amount": '"1"', "side": '"buy"'}
    name, _, value = wrong.partition(":")
    row[name.strip('"')] = value
    text = ",".join(f'"{key}":{part}' for key, part in row.items())
    with pytest.raises(WireError):
        trades(('{"data":[{' + text + "}]}").encode())


def test_the_captured_answers_are_read() -> None:
    if not SAMPLES.is_dir():
        pytest.skip("the captures of the exchange are not beside the clone (../shared)")
    answers = {
        name: (SAMPLES / f"rest-{name}.json").read_bytes()
        for name in ("graph-klines-history", "graph-klines-no-data", "trades")
    }
    assert [row[0] for row in chart(answers["graph-klines-history"])] == [1787684400, 1787688000]
    assert chart(answers["graph-klines-no-data"]) == ()
    assert [row.trade_id for row in trades(answers["trades"])][-1] == 101963779399182809
