"""The replay dataset: each defect has its code, and a valid one becomes a data set."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from btcbot.catalog.dataset import Dataset
from btcbot.catalog.importing import import_replay
from btcbot.catalog.manifest import Manifest
from btcbot.catalog.replay import moment, validate
from btcbot.catalog.rows import Candle, Channel, Provenance, Quote, Ticker
from btcbot.catalog.writer import Writer
from tests.catalog.markets import MINUTE, PAIR, PLAIN, START, price, table

CANDLES = "ts,open,high,low,close,volume"
BOOK = "ts,best_bid,best_ask"
TICKER = "ts,last,high,low,volume,quoteVolume"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a valid one, with each way to write a time."""
    made = tmp_path / "replay"
    for name in ("candles", "orderbook", "ticker"):
        (made / name).mkdir(parents=True)
    seconds = START // 10**9
    candles = [
        ("2026-06-01T00:00:00Z", 5, 9, 1, 6, 2),
        ("2026-06-01T03:01:00+03:00", 6, 9, 1, 7, 0),
    ]
    table(made / "candles" / "BTCTRY.csv", CANDLES, candles)
    books = [(seconds, 100, 101), (seconds * 1000 + 500, 100, "101.5"), (seconds + 1, 99, 100)]
    table(made / "orderbook" / "BTCTRY.csv", BOOK, books)
    table(made / "ticker" / "BTCTRY.csv", TICKER, [("2026-06-01 00:00:00", 5, 6, 4, "1.5", 7)])
    return made


def codes(folder: Path) -> list[str]:
    return [issue.code for issue in validate(folder).issues]


def imported(folder: Path, into: Path) -> tuple[Dataset, list[str]]:
    into.mkdir()
    writer = Writer(into, Manifest(name="x"), Provenance.IMPORTED)
    defects = import_replay(folder, writer, PLAIN)
    writer.commit()
    return Dataset(into), [f"{d.row} {d.flaw}" for d in defects]


def test_a_valid_one_passes_and_counts_its_rows(folder: Path) -> None:
    report = validate(folder)
    assert report.is_ok
    assert report.issues == ()
    assert report.rows == {
        "candles": {"BTCTRY": 2}, "orderbook": {"BTCTRY": 3}, "ticker": {"BTCTRY": 1},
    }  # fmt: skip


def test_it_becomes_candles_quotes_and_tickers(folder: Path, tmp_path: Path) -> None:
    dataset, defects = imported(folder, tmp_path / "x")

    assert defects == []
    first, second = dataset.rows(PAIR, (Channel.CANDLES,))
    assert isinstance(first, Candle)
    assert (first.open_ns, first.at_ns, first.high) == (START, START + MINUTE, price(9))
    assert isinstance(second, Candle)
    assert (second.open_ns, second.volume) == (START + MINUTE, Decimal(0))
    quotes = list(dataset.rows(PAIR, (Channel.QUOTES,)))
    assert [row.at_ns - START for row in quotes] == [0, 500_000_000, 1_000_000_000]
    assert isinstance(quotes[0], Quote)
    assert (quotes[0].bid, quotes[0].bid_quantity) == (price(100), None)
    [ticker] = dataset.rows(PAIR, (Channel.TICKER,))
    assert isinstance(ticker, Ticker)
    assert (ticker.volume, ticker.quote_volume) == (Decimal("1.5"), Decimal(7))


def test_a_folder_that_is_missing_or_a_file_is_told_apart(folder: Path) -> None:
    assert codes(folder / "nowhere") == ["dataset_missing"]
    assert codes(folder / "candles" / "BTCTRY.csv") == ["dataset_not_directory"]


def _drop(name: str) -> Callable[[Path], None]:
    def broken(folder: Path) -> None:
        (folder / name / "BTCTRY.csv").unlink()
        (folder / name).rmdir()

    return broken


def _empty(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name / "BTCTRY.csv").unlink()


def _book(header: str, *rows: tuple[object, ...]) -> Callable[[Path], None]:
    return lambda folder: (table(folder / "orderbook" / "BTCTRY.csv", header, rows), None)[1]


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        (_drop("candles"), ["missing_candles_folder"]),
        (_drop("orderbook"), ["missing_orderbook_folder"]),
        (_drop("ticker"), []),
        (_empty("candles"), ["missing_candles_files"]),
        (_empty("orderbook"), ["missing_orderbook_files"]),
        (_book("ts,best_bid", (1_780_272_000, 1)), ["invalid_schema"]),
        (_book("ts,best_bid,best_ask,more", (1_780_272_000, 1, 2, 3)), []),
        (_book(BOOK, (1_780_272_000, 1)), ["invalid_schema", "insufficient_rows"]),
        (_book(BOOK, ("soon", 1, 2)), ["invalid_timestamp"]),
        (_book(BOOK, (17_802_720_000, 1, 2)), ["invalid_timestamp"]),
        (_book(BOOK), ["insufficient_rows"]),
        (_book(BOOK, (1_780_272_001, 1, 2), (1_780_272_000, 1, 2)), ["non_monotonic_timestamp"]),
        (_book(BOOK, (1_780_272_000, 1, 2), (1_780_272_000, 1, 2)), []),
    ],
)
def test_each_defect_has_its_code(
    folder: Path, broken: Callable[[Path], None], expected: list[str]
) -> None:
    broken(folder)
    assert codes(folder) == expected
    assert validate(folder).is_ok == (not expected)


def test_symbols_that_do_not_match_are_a_warning(folder: Path) -> None:
    table(folder / "candles" / "ETHTRY.csv", CANDLES, [(1_780_272_000, 5, 9, 1, 6, 2)])
    report = validate(folder)
    assert [(issue.code, issue.severity) for issue in report.issues] == [
        ("symbol_mismatch", "warning")
    ]
    assert report.is_ok


def test_issues_name_the_row_and_a_minimum_may_be_asked_for(folder: Path) -> None:
    _book(BOOK, (1_780_272_000, 1, 2), ("soon", 1, 2))(folder)
    [issue] = validate(folder).issues
    assert (issue.row, issue.path) == (3, str(folder / "orderbook" / "BTCTRY.csv"))
    found = {issue.code for issue in validate(folder, rows_min=3).issues}
    assert found == {"invalid_timestamp", "insufficient_rows"}


def test_what_is_wrong_inside_a_row_is_named_when_it_is_imported(
    folder: Path, tmp_path: Path
) -> None:
    _book(BOOK, (1_780_272_000, 1, 2), (1_780_272_001, 3, 2))(folder)
    _, defects = imported(folder, tmp_path / "x")
    assert defects == ["3 crossed"]


@pytest.mark.parametrize(
    "text",
    ["1780272000", "1780272000000", "2026-06-01", "2026-06-01T00:00:00Z", "2026-06-01T03:00+03:00"],
)
def test_every_way_to_write_a_time_is_one_moment(text: str) -> None:
    assert moment(text) == START
