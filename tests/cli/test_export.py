"""`btcbot export`: the public shapes, byte for byte where it matters."""

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from btcbot.cli import exits
from btcbot.cli.export import AMOUNTS, COLUMNS
from btcbot.store.queries import PAGE, History
from tests.cli.books import (
    CLOSED,
    DOUBTFUL,
    ORDER_ID,
    REFUSED,
    SECOND,
    START_NS,
    TRADE_ID,
    label,
    story,
    write,
)

Export = Callable[..., subprocess.CompletedProcess[str]]
BIN = Path(sys.executable).parent


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write(tmp_path, *story())
    return tmp_path


@pytest.fixture
def export(home: Path) -> Export:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("BTCBOT__")}
        return subprocess.run(
            [BIN / "btcbot", "export", "--home", home, *arguments],
            env=clean, capture_output=True, text=True, timeout=60, check=False, cwd=home,
        )  # fmt: skip

    return run


def lines(done: subprocess.CompletedProcess[str]) -> list[Any]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_fill_has_exact_decimals_as_text_and_ids_as_integers(export: Export) -> None:
    assert lines(export("fills", "--format", "jsonl")) == [
        {
            "trade_id": TRADE_ID,
            "order_id": ORDER_ID,
            "client_order_id": label(CLOSED),
            "intent_id": CLOSED,
            "pair": "BTCTRY",
            "side": "buy",
            "quantity": "0.0000001",
            "price": "4000000",
            "fee": "0.00084",
            "tax": "0.00012",
            "fee_asset": "TRY",
            "ts_ns": START_NS + SECOND - 500_000,
            "liquidity": None,
        }
    ]


def test_orders_tell_what_became_of_each(export: Export) -> None:
    closed, doubtful = lines(export("orders"))

    assert closed == {
        "client_order_id": label(CLOSED),
        "order_id": ORDER_ID,
        "intent_id": CLOSED,
        "strategy": "profit_aware",
        "pair": "BTCTRY",
        "side": "buy",
        "method": "limit",
        "quantity": "0.0000001",
        "limit_price": "4000000",
        "state": "CLOSED",
        "filled": "0.0000001",
        "average_price": "4000000",
        "reason": "filled",
        "created_ns": START_NS,
        "closed_ns": START_NS + 2 * SECOND,
    }
    assert (doubtful["state"], doubtful["order_id"], doubtful["closed_ns"]) == (
        "UNKNOWN",
        None,
        None,
    )
    assert (doubtful["average_price"], doubtful["reason"]) == (None, "HTTP 504")


def test_every_intent_has_a_verdict_and_a_refusal_its_reason(export: Export) -> None:
    rows = {row["intent_id"]: row for row in lines(export("intents"))}

    assert set(rows) == {CLOSED, DOUBTFUL, REFUSED}
    assert (rows[CLOSED]["verdict"], rows[CLOSED]["rule"]) == ("accepted", None)
    refused = rows[REFUSED]
    assert (refused["verdict"], refused["rule"], refused["detail"]) == (
        "refused",
        "stale_book",
        "3 s",
    )
    assert refused["client_order_id"] is None


def test_an_adaptation_tells_the_versions_what_changed_why_and_from_which_periods(
    export: Export,
) -> None:
    [row] = lines(export("adaptations"))

    assert (row["outcome"], row["from_version"], row["to_version"]) == ("APPLIED", 1, 2)
    assert row["changes"] == [{"name": "orders_max", "before": "4", "after": "3"}]
    assert (row["reasons"], row["at_ns"]) == (["throttled"], START_NS)
    assert (row["window"][0]["throttled"], row["window"][0]["net_pnl"]) == (1, "-0.5")


def test_events_are_the_whole_log_in_order_with_canonical_numbers(export: Export) -> None:
    rows = lines(export("events"))

    assert [row["seq"] for row in rows] == list(range(1, len(story()) + 1))
    assert all(set(row) == {"seq", "epoch", "kind", "at_ns", "fact"} for row in rows)
    [filled] = [row for row in rows if row["kind"] == "fill"]
    assert filled["fact"]["quantity"] == "0.0000001"
    assert {"account": "fee", "asset": "TRY", "amount": "0.00084"} in filled["fact"]["postings"]
    kept = [row["fact"]["kind"] for row in rows if row["kind"] == "recorded"]
    assert kept == ["peak", "decision", "adaptation", "equity", "digest"]


@pytest.mark.parametrize("what", COLUMNS)
def test_csv_has_the_same_rows_under_the_same_names(export: Export, what: str) -> None:
    expected = lines(export(what))
    done = export(what, "--format", "csv")

    rows = list(csv.DictReader(io.StringIO(done.stdout)))

    assert tuple(rows[0]) == COLUMNS[what]
    assert len(rows) == len(expected)
    for row, wanted in zip(rows, expected, strict=True):
        for name, value in wanted.items():
            if isinstance(value, dict | list):
                assert json.loads(row[name]) == value
            else:
                assert row[name] == ("" if value is None else str(value))


@pytest.mark.parametrize("what", COLUMNS)
def test_parquet_has_the_same_rows_with_decimals_for_amounts(
    export: Export, home: Path, what: str
) -> None:
    import polars as pl

    expected = lines(export(what))
    path = home / "out.parquet"
    with path.open("wb") as file:
        command = [str(BIN / "btcbot"), "export", "--home", str(home), what, "--format", "parquet"]
        subprocess.run(command, stdout=file, timeout=60, check=True, cwd=home)

    table = pl.read_parquet(path)

    assert tuple(table.columns) == COLUMNS[what]
    for row, wanted in zip(table.iter_rows(named=True), expected, strict=True):
        for name, value in wanted.items():
            if isinstance(value, dict | list):
                assert json.loads(row[name]) == value
            elif name in AMOUNTS and value is not None:
                assert row[name] == Decimal(value)
            else:
                assert row[name] == value


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_nothing_found_is_an_empty_list_with_its_header(export: Export, form: str) -> None:
    done = export("fills", "--format", form, "--since", "2030-01-01")

    assert done.returncode == 0
    assert done.stdout == ("" if form == "jsonl" else ",".join(COLUMNS["fills"]) + "\n")


def test_since_is_included_and_until_is_not(home: Path) -> None:
    history = History(home / "btcbot.db")
    at = START_NS + 20_000_000  # The acknowledgement.

    assert [row["kind"] for row in history.events(at, at + 1)] == ["order_acked"]
    assert list(history.events(at + 1, at + 2)) == []
    assert [row["intent_id"] for row in history.orders(START_NS, START_NS + 1)] == [CLOSED]


def test_a_time_is_utc_to_the_microsecond_and_may_name_its_zone(export: Export) -> None:
    at = "2026-11-18T11:06:40"  # START_NS

    assert len(lines(export("orders", "--since", at, "--until", f"{at}.000001"))) == 1
    assert len(lines(export("orders", "--since", f"{at}.000001"))) == 1
    assert len(lines(export("orders", "--until", "2026-11-18T14:06:40+03:00"))) == 0


@pytest.mark.parametrize("wrong", ["yesterday", "2026-13-01", "1795000000"])
def test_what_is_no_time_is_a_usage_error(export: Export, wrong: str) -> None:
    done = export("fills", "--since", wrong)

    assert done.returncode == exits.USAGE
    assert wrong in done.stderr


def test_without_a_database_it_says_so(tmp_path: Path, export: Export) -> None:
    (tmp_path / "btcbot.db").unlink()

    done = export("fills")

    assert done.returncode == exits.NOT_FOUND
    assert "btcbot up" in done.stderr


def test_long_lists_come_a_page_at_a_time_and_complete(home: Path) -> None:
    """Rows of one nanosecond must not be lost where a page ends between them."""
    from dataclasses import dataclass

    @dataclass
    class Rows:
        made: int = 0

        def rows(self, _query: str, values: tuple[Any, ...] = ()) -> Any:
            after_ns, after_id, _until, limit = values
            every = [{"created_ns": 7, "intent_id": f"{n:06d}"} for n in range(2 * PAGE + 5)]
            above = [r for r in every if (r["created_ns"], r["intent_id"]) > (after_ns, after_id)]
            self.made += 1
            return iter(above[:limit])

    history = History(home / "btcbot.db")
    history._reader = reader = Rows()  # type: ignore[assignment]

    found = list(history._judged("1", 0, 10))

    assert len(found) == 2 * PAGE + 5
    assert len({row["intent_id"] for row in found}) == len(found)
    assert reader.made == 4
