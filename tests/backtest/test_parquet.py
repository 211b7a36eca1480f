"""Parquet says the same as the csv it was made from; without its library, what to install."""

import csv
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from btcbot.cli import exits
from btcbot.cli.sources import source_of_files
from btcbot.domain.ids import Pair
from btcbot.domain.instruments import DOCUMENTED
from btcbot.domain.recorded import DatasetError, Happening, Quoted, Traded
from btcbot.simulation.recording import open_recording
from tests.backtest.tapes import candle_rows, quote_rows, recorded, trade_rows, write

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WITHOUT_POLARS = """
import sys
sys.modules["polars"] = None
data, home = sys.argv[1:]
sys.argv = ["btcbot", "backtest", "-s", "profit_aware", "--data", data, "--home", home]
from btcbot.cli.main import main
main()
"""


@pytest.fixture
def polars() -> Any:
    return pytest.importorskip("polars", reason="polars, of the extra `research`, is absent")


def events(path: Path) -> list[Happening]:
    return list(open_recording(source_of_files([path]), DOCUMENTED[Pair("BTCTRY")]).events)


def columns_of(rows: list[str]) -> dict[str, list[str]]:
    table = list(csv.DictReader(rows))
    return {name: [row[name] for row in table] for name in table[0]}


@pytest.mark.parametrize("rows", [quote_rows, trade_rows, candle_rows])
def test_a_table_says_the_same_in_parquet(
    polars: Any, tmp_path: Path, rows: Callable[[], list[str]]
) -> None:
    columns = columns_of(rows())
    typed = {
        name: [int(cell) for cell in cells] if name in ("recv_ns", "open_ms") else cells
        for name, cells in columns.items()
    }
    path = tmp_path / "tape.parquet"
    polars.DataFrame(typed).write_parquet(path)

    assert events(path) == events(write(tmp_path / "tape.csv", rows()))


@pytest.mark.parametrize("is_moment", [True, False])
def test_the_names_of_public_tick_files_are_known(
    polars: Any, tmp_path: Path, *, is_moment: bool
) -> None:
    columns = columns_of(trade_rows())
    stamps = [int(cell) // 10**6 for cell in columns["recv_ns"]]
    moments = [EPOCH + timedelta(milliseconds=stamp) for stamp in stamps]
    path = tmp_path / "public.parquet"
    polars.DataFrame(
        {
            "timestamp": moments if is_moment else stamps,
            "price": [float(cell) for cell in columns["price"]],
            "quantity": [float(cell) for cell in columns["qty"]],
            "buyer_maker": [str(side == "sell") for side in columns["taker_side"]],
        }
    ).write_parquet(path)

    assert events(path) == events(write(tmp_path / "tape.csv", trade_rows()))


@pytest.mark.parametrize(
    ("price", "said"), [(float("nan"), "'NaN'"), (None, "''"), (-1.0, "more than 0")]
)
def test_a_bad_cell_is_named_by_its_row(
    polars: Any, tmp_path: Path, price: float | None, said: str
) -> None:
    columns = columns_of(trade_rows())
    prices: list[float | None] = [float(cell) for cell in columns["price"]]
    prices[6] = price
    path = tmp_path / "tape.parquet"
    times = [int(cell) for cell in columns["recv_ns"]]
    polars.DataFrame({**columns, "recv_ns": times, "price": prices}).write_parquet(path)

    with pytest.raises(DatasetError) as caught:
        events(path)

    assert f"{path}, row 8: " in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.usefixtures("polars")
@pytest.mark.parametrize("content", [b"", b"PAR1 is not enough"])
def test_what_is_no_parquet_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tape.parquet"
    path.write_bytes(content)

    with pytest.raises(DatasetError, match=r"tape\.parquet"):
        events(path)


@pytest.mark.usefixtures("polars")
def test_recorded_parquet_is_read_to_the_last() -> None:
    [trades] = recorded("ticks/btcusdt_trades_20210108.parquet")
    [quotes] = recorded("ticks/btcusdt_quotes_20210108.parquet")

    assert sum(1 for event in events(trades) if isinstance(event, Traded)) == 2_001
    assert sum(1 for event in events(quotes) if isinstance(event, Quoted)) == 451


def test_without_polars_the_command_ends_with_78_and_says_what_to_install(tmp_path: Path) -> None:
    path = tmp_path / "tape.parquet"
    path.write_bytes(b"anything")

    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_POLARS, path, tmp_path / "home"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode == exits.CONFIG
    assert str(path) in done.stderr
    assert "pip install 'btcbot[research]'" in done.stderr
