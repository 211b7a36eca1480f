"""The page of a run: complete, readable by itself, and deaf to what is written in it."""

from decimal import Decimal
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from btcbot.domain.words import Side
from btcbot.research import drawing
from btcbot.research.figures import figures
from btcbot.research.lines import Bar, Doubt, Gap, Run
from btcbot.research.page import POLICY, page
from tests.research.runs import DAY_NS, START_NS, curve, fill, order, run

HOSTILE = "<script src=//evil.example/x.js>\"'&</script>"
MINUTE_NS = 60 * 10**9
ORDERS = [order(n, Side.SELL if n % 3 else Side.BUY, at_ns=START_NS + n * DAY_NS) for n in range(6)]


def bars(count: int, pair: str = "BTCTRY") -> tuple[Bar, ...]:
    middle = Decimal(4_000_000)
    return tuple(
        Bar(
            pair=pair,
            open_ns=START_NS + n * MINUTE_NS,
            open=middle,
            high=middle + n,
            low=middle - n,
            close=middle + (-1) ** n,
        )
        for n in range(count)
    )


def whole() -> Run:
    """Return a run with something in every part of a report, all of it hostile."""
    made = run(ORDERS, [fill(n, line) for n, line in enumerate(ORDERS)], curve(100))
    return replace(
        made,
        kind=HOSTILE,
        identity={"strategy": HOSTILE, "params": {HOSTILE: HOSTILE}, "data": None},
        refusals={HOSTILE: 3},
        bars=bars(40, HOSTILE),
        orders=(*made.orders, order(9, state=HOSTILE, pair=HOSTILE)),
        doubts=(
            Doubt(
                client_order_id=HOSTILE,
                pair=HOSTILE,
                from_ns=START_NS,
                until_ns=None,
                ended=HOSTILE,
            ),
        ),
        gaps=(Gap(what=HOSTILE, from_ns=START_NS, until_ns=START_NS + 1),),
    )


class Reading(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_the_page_asks_no_other_host_for_anything_and_runs_nothing() -> None:
    text = page(run(ORDERS, [fill(n, line) for n, line in enumerate(ORDERS)], curve(100)))

    for word in ("http:", "https:", "//", "url(", "@import", "<script", "javascript", "src="):
        assert word not in text, word
    read = Reading(text)
    assert not read.tags & {"script", "link", "img", "iframe", "object", "a", "base", "form"}
    assert ("meta", "content", POLICY) in read.attributes
    assert "default-src 'none'" in POLICY


def test_whatever_stands_in_a_run_is_text_and_nothing_else() -> None:
    plain, hostile = page(run(ORDERS, (), curve(100))), page(whole())

    read = Reading(hostile)

    known = {name for _, name, _ in Reading(plain).attributes} | {"d", "x", "y", "width", "height"}
    assert not read.tags & {"script", "img", "iframe", "a"}
    assert {name for _, name, _ in read.attributes} <= known
    assert sum(HOSTILE in word for word in read.words) >= 8
    assert hostile.count("<") == hostile.count(">")
    assert HOSTILE not in hostile


def test_every_part_of_a_report_is_on_the_page() -> None:
    words = " ".join(Reading(page(replace(whole(), kind="live"))).words)

    for part in (
        "Figures", "What was run", "Sharpe", "Sortino", "Calmar", "Deepest fall", "Win rate",
        "Profit factor", "Slippage, bps", "Maker's share", "Equity, TRY", "Drawdown, TRY",
        "Sharpe of the last 60 periods", "Returns of a day", "Months", "2026", "Days (Istanbul)",
        "middle of the book", "How long orders took", "sent to first fill", "Refusals", "Gaps",
        "Orders in doubt", "fingerprint",
    ):  # fmt: skip
        assert part in words, part


def test_the_same_run_gives_the_same_page() -> None:
    assert page(whole()) == page(whole())


@pytest.mark.parametrize(
    "made",
    [
        run(points=()),
        run(),
        run(ORDERS[:1], [fill(0, ORDERS[0])], bars=bars(1)),
        run(points=[(START_NS + n * DAY_NS, Decimal(100)) for n in range(90)]),
        run(points=[(START_NS, Decimal(0)), (START_NS + 1, Decimal(0))]),
    ],
    ids=["empty", "one point", "one trade", "flat", "worthless"],
)
def test_an_empty_a_flat_or_a_one_trade_run_has_a_report_too(made: Run) -> None:
    found = figures(made)

    assert Reading(page(made)).tags
    assert msgspec.json.encode(found)
    assert found["equity"]["sharpe"] is None
    assert found["trading"]["profit_factor"] is None


def test_the_counts_of_a_report_are_those_of_the_run() -> None:
    made = run(
        [*ORDERS, order(7, state="REJECTED", filled=Decimal(0), average_price=None)],
        [fill(n, line) for n, line in enumerate(ORDERS)],
        refusals={"stale_book": 3, "capital": 4},
    )

    found = figures(made)

    assert found["orders"] == {
        "sent": 7, "filled": 6, "refused": 7, "states": {"CLOSED": 6, "REJECTED": 1},
    }  # fmt: skip
    assert sum(row["fills"] for row in found["days"]) == len(made.fills)
    turnover = sum(line.notional for line in made.fills)
    assert sum(Decimal(row["turnover"]) for row in found["days"]) == turnover
    [try_] = found["trading"]["assets"]
    assert Decimal(try_["turnover"]) == turnover
    legs = {row["leg"]: row for row in found["latency"]}
    assert legs["sent to first fill"]["orders"] == 6
    assert legs["sent to first fill"]["median_ms"] == "25"


def test_a_minute_without_a_sample_of_the_market_is_a_gap() -> None:
    rows = bars(10)

    found = figures(run(bars=(*rows[:4], *rows[6:])))

    assert found["gaps"] == [
        {"what": "BTCTRY silent", "from": "2026-01-01T00:04:00Z", "to": "2026-01-01T00:06:00Z"}
    ]


def test_long_series_are_thinned_out_and_keep_their_extremes() -> None:
    made: list[Any] = [(n, Decimal(n % 97)) for n in range(50_000)]
    made[31_234] = (31_234, Decimal(1_000))
    made[41_234] = (41_234, Decimal(-1_000))

    found = drawing.thinned(made)

    assert len(found) <= drawing.POINTS_MAX + 2
    assert {made[0], made[-1], made[31_234], made[41_234]} <= set(found)
    assert list(found) == sorted(found)
    assert len(drawing.merged(bars(1_000))) <= drawing.BARS_MAX
    assert max(bar.high for bar in drawing.merged(bars(1_000))) == 4_000_999


@pytest.mark.parametrize(("minutes", "is_known"), [(29, False), (31, True)])
def test_ratios_of_less_than_thirty_periods_are_not_known(minutes: int, *, is_known: bool) -> None:
    found = figures(run(points=curve(minutes + 1, step_ns=MINUTE_NS)))

    assert (found["equity"]["period"], found["equity"]["periods"]) == ("minute", minutes)
    for name in ("sharpe", "sortino"):
        assert (found["equity"][name] is not None) is is_known


def test_what_is_said_last_holds_until_the_run_ends() -> None:
    made = run(points=curve(3), ended_ns=START_NS + 40 * DAY_NS)

    found = figures(made)["equity"]

    assert (found["period"], found["periods"]) == ("day", 40)
