"""Data sets: what is kept comes back, the better provenance wins, and nothing is half there."""

import random
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from btcbot.catalog import synthetic
from btcbot.catalog.dataset import Busy, Dataset, find, locked
from btcbot.catalog.intervals import Gap, holes, inside, union
from btcbot.catalog.manifest import Manifest, load
from btcbot.catalog.rows import Cause, Channel, Provenance, Row
from btcbot.catalog.writer import DAY_NS, Writer
from btcbot.domain.ids import Pair
from btcbot.domain.recorded import DatasetError
from tests.catalog.markets import (
    MINUTE,
    PAIR,
    START,
    candle,
    depth,
    price,
    quote,
    trade,
    written,
)

ALL = list(Channel)


def test_rows_of_all_channels_come_back_equal_and_in_the_order_of_time(tmp_path: Path) -> None:
    rows: list[Row] = [
        depth(0, (7, 7), [("99.5", "1.25")], [("100", "0.00000001")], is_snapshot=True),
        trade(0.5, 3, "0.0000000000000001", "999999999999999.9999999999999999"),
        depth(1, (8, 9)),
        quote(2),
        trade(2, None),
        candle(0, volume="0"),
    ]
    dataset = written(tmp_path / "x", rows)

    assert list(dataset.rows(PAIR, ALL)) == rows
    assert list(dataset.rows(PAIR, ALL, (START + 10**9, START + 2 * 10**9))) == [rows[2]]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.decimals(0, 10**15 - 1, places=16, allow_nan=False), min_size=1, max_size=20))
def test_no_number_of_the_grammar_of_money_changes_on_its_way(
    tmp_path_factory: pytest.TempPathFactory, values: list[Decimal]
) -> None:
    rows = [trade(n, n + 1, format(value, "f")) for n, value in enumerate(values)]
    dataset = written(tmp_path_factory.mktemp("money") / "x", rows)
    assert [row.price for row in dataset.rows(PAIR, ALL)] == values  # type: ignore[union-attr]


def test_what_does_not_fit_in_memory_is_written_meanwhile_and_read_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("btcbot.catalog.writer.HELD_MAX", 50)
    monkeypatch.setattr("btcbot.catalog.writer.LOOSE_MAX", 7)
    rows: list[Row] = [trade(n / 10, n + 1, str(n + 1)) for n in range(1_000)]
    rows += [quote(1_000 + n, update=n + 1) for n in range(100)]
    random.Random(1).shuffle(rows)
    rows.sort(key=lambda row: row.at_ns)

    dataset = written(tmp_path / "x", rows)

    assert len(dataset.manifest.parts) > 10
    assert list(dataset.rows(PAIR, ALL)) == rows


def test_a_utc_day_is_a_folder(tmp_path: Path) -> None:
    rows = [trade(-1, 1), trade(0, 2), trade(86_399, 3), trade(86_400, 4)]
    dataset = written(tmp_path / "x", rows)

    days = {part.day: part.rows for part in dataset.manifest.parts}
    assert days == {"2026-05-31": 1, "2026-06-01": 2, "2026-06-02": 1}
    assert all(part.from_ns // DAY_NS == part.to_ns // DAY_NS for part in dataset.manifest.parts)


def test_what_was_recorded_live_is_never_replaced_by_backfill(tmp_path: Path) -> None:
    live = [trade(10, 5, "200"), trade(20, 6, "201")]
    folder = tmp_path / "x"
    written(folder, live, Provenance.LIVE)
    before = {path: path.read_bytes() for path in folder.rglob("*.parquet")}

    dataset = written(
        folder, [trade(5, 4), trade(10, 5), trade(15, 99), trade(25, 7)], Provenance.BACKFILL
    )

    ids = [row.trade_id for row in dataset.rows(PAIR, ALL)]  # type: ignore[union-attr]
    assert ids == [4, 5, 6, 7]
    assert all(path.read_bytes() == content for path, content in before.items())


def test_live_data_hides_backfill_that_was_there_before_it(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    written(folder, [trade(5, 4), trade(10, 5), trade(25, 7)], Provenance.BACKFILL)

    dataset = written(folder, [trade(10, 5, "200"), trade(20, 6, "201")], Provenance.LIVE)

    prices = [row.price for row in dataset.rows(PAIR, ALL)]  # type: ignore[union-attr]
    assert prices == [price(100), price(200), price(201), price(100)]


def test_bringing_the_same_in_twice_changes_nothing(tmp_path: Path) -> None:
    rows = [candle(0), candle(1), candle(2)]
    written(tmp_path / "x", rows)

    again = written(tmp_path / "x", rows)

    assert list(again.rows(PAIR, ALL)) == rows
    assert len(again.manifest.intervals) == 1


def test_neighbouring_candles_brought_in_later_are_no_repeats(tmp_path: Path) -> None:
    written(tmp_path / "x", [candle(1)])
    written(tmp_path / "x", [candle(2)])
    again = written(tmp_path / "x", [candle(0)])
    assert list(again.rows(PAIR, ALL)) == [candle(0), candle(1), candle(2)]
    assert again.gaps() == []


def test_candles_of_two_lengths_do_not_mix(tmp_path: Path) -> None:
    written(tmp_path / "x", [candle(0)])
    hour = candle(1)
    longer = type(hour)(
        at_ns=hour.open_ns + 60 * MINUTE, open_ns=hour.open_ns, open=hour.open, high=hour.high,
        low=hour.low, close=hour.close, volume=hour.volume,
    )  # fmt: skip
    with pytest.raises(DatasetError, match=r"3600 s; x has candles of 60 s"):
        written(tmp_path / "x", [longer])


def test_no_data_is_told_apart_from_no_trade(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    written(folder, [trade(0, 1), trade(100, 2)], Provenance.LIVE)
    dataset = written(folder, [trade(200, 3), trade(300, 4)], Provenance.LIVE)

    quiet, missing = START + 50 * 10**9, START + 150 * 10**9
    assert dataset.covers(Channel.TRADES, PAIR, quiet)
    assert not dataset.covers(Channel.TRADES, PAIR, missing)
    [gap] = dataset.gaps()
    assert (gap.from_ns, gap.to_ns) == (START + 100 * 10**9 + 1, START + 200 * 10**9)
    assert gap.cause is Cause.UNKNOWN


def test_a_gap_of_which_something_is_known_is_told_in_parts(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    written(folder, [trade(0, 1)])
    writer = Writer(folder, load(folder), Provenance.IMPORTED)
    writer.cover(Channel.TRADES, PAIR, (START + 100, START + 200))
    writer.explain(
        Gap(channel=Channel.TRADES, pair=PAIR, from_ns=START + 20, to_ns=START + 60,
            cause=Cause.DISCONNECTED)
    )  # fmt: skip
    writer.commit()

    told = [(gap.from_ns - START, gap.to_ns - START, gap.cause) for gap in Dataset(folder).gaps()]
    assert told == [
        (1, 20, Cause.UNKNOWN), (20, 60, Cause.DISCONNECTED), (60, 100, Cause.UNKNOWN),
    ]  # fmt: skip


def test_what_was_not_committed_was_never_there(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    written(folder, [trade(0, 1)])
    writer = Writer(folder, load(folder), Provenance.IMPORTED)
    for n in range(10):
        writer.add(PAIR, quote(n, update=n + 1))
    writer._write((Channel.QUOTES, PAIR, START // DAY_NS))  # As when memory is full; then it dies.

    orphan = folder / "quotes" / "BTCTRY" / "2026-06-01" / "0001.parquet"
    assert orphan.exists()
    assert list(Dataset(folder).rows(PAIR, ALL)) == [trade(0, 1)]
    again = written(folder, [quote(3)])
    assert list(again.rows(PAIR, ALL)) == [trade(0, 1), quote(3)]


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    with (
        locked(tmp_path / "x"),
        pytest.raises(Busy, match="another process writes"),
        locked(tmp_path / "x"),
    ):
        pass
    with locked(tmp_path / "x"):
        pass


def test_a_name_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    written(tmp_path / "sets" / "mine", [trade()])
    assert find(tmp_path, "mine") == tmp_path / "sets" / "mine"
    for name in ("yours", "../mine", "", ".hidden"):
        with pytest.raises(DatasetError, match=r"there are: mine"):
            find(tmp_path, name)


@pytest.mark.parametrize("text", ["{", '{"name":"x","unheard":1}', '{"name":"x","version":9}'])
def test_a_manifest_that_is_not_ours_is_refused_by_its_path(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError, match=r"manifest\.json"):
        Dataset(tmp_path)


def files(folder: Path, pairs: tuple[str, ...], minutes: int, seed: int) -> dict[str, bytes]:
    folder.mkdir()
    writer = Writer(folder, Manifest(name="x"), Provenance.SYNTHETIC)
    synthetic.fill(writer, tuple(map(Pair, pairs)), minutes, seed)
    writer.commit()
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_one_seed_makes_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    first = files(tmp_path / "a", ("BTCTRY", "XYZTRY"), 30, 1)

    assert files(tmp_path / "b", ("BTCTRY", "XYZTRY"), 30, 1) == first
    assert files(tmp_path / "c", ("BTCTRY", "XYZTRY"), 30, 2) != first
    assert len(first) == 7  # A manifest, three channels of two pairs.


def test_synthetic_candles_are_those_that_their_trades_make(tmp_path: Path) -> None:
    rows = list(synthetic.rows(PAIR, 10, 3))
    dataset = written(tmp_path / "x", rows)

    trades = list(dataset.rows(PAIR, (Channel.TRADES,)))
    for n, one in enumerate(dataset.rows(PAIR, (Channel.CANDLES,))):
        four = trades[4 * n : 4 * n + 4]
        assert one == synthetic.candle_of(four, one.open_ns, MINUTE)  # type: ignore[arg-type, union-attr]


SPANS = st.lists(
    st.tuples(st.integers(0, 50), st.integers(0, 50)).map(lambda two: (min(two), max(two)))
)


@given(SPANS, st.integers(0, 50))
def test_a_union_covers_the_same_moments_and_holes_all_the_others(
    spans: list[tuple[int, int]], at: int
) -> None:
    is_covered = any(start <= at < end for start, end in spans)
    assert inside(union(spans), at) == is_covered
    assert inside(holes(spans, (0, 51)), at) != is_covered
