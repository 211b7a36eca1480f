"""Raw segments into rows: what was heard is covered, what was not is a gap with its cause."""

from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from btcbot.catalog.convert import bring_in, has_news, recover
from btcbot.catalog.dataset import Dataset
from btcbot.catalog.manifest import Manifest, load, save
from btcbot.catalog.rows import Cause, Channel, Depth, Provenance, Trade
from btcbot.catalog.segments import Captured, SegmentWriter, segments
from btcbot.catalog.verify import verify_set
from btcbot.catalog.writer import Writer
from btcbot.domain.instruments import DOCUMENTED
from tests.catalog.markets import (
    PAIR,
    PLAIN,
    SECOND,
    START,
    change,
    listed,
    pulse,
    recorded,
    snapshot,
    traded,
)

Frames = Iterable[tuple[float, int, bytes]]
SAMPLES = Path(__file__).parents[3] / "shared" / "btcturk-samples"


def converted(tmp_path: Path, raw: Path | None = None) -> Dataset:
    folder = tmp_path / "set"
    folder.mkdir(exist_ok=True)
    manifest = load(folder) if (folder / "manifest.json").exists() else Manifest(name="set")
    writer = Writer(folder, manifest, Provenance.LIVE)
    bring_in(writer, manifest, raw or tmp_path / "raw", PLAIN)
    return Dataset(folder)


def one_life(tmp_path: Path, *frames: tuple[float, int, bytes]) -> Dataset:
    recorded(tmp_path / "raw", frames)
    return converted(tmp_path)


def gaps(dataset: Dataset, channel: Channel) -> list[tuple[float, float, str]]:
    return [
        (
            round((gap.from_ns - START) / SECOND, 3),
            round((gap.to_ns - START) / SECOND, 3),
            gap.cause,
        )
        for gap in dataset.gaps()
        if gap.channel is channel
    ]


def ids(dataset: Dataset) -> list[int | None]:
    rows = dataset.rows(PAIR, (Channel.TRADES,))
    return [row.trade_id for row in rows if isinstance(row, Trade)]


def test_books_and_trades_become_rows_as_they_were_heard(tmp_path: Path) -> None:
    dataset = one_life(
        tmp_path, (0, 1, snapshot(5)), (1, 1, listed([8, 9])), (2, 1, change(6, amount="3.0")),
        (3, 1, traded(10)), (4, 1, pulse()),
    )  # fmt: skip

    first, second = (r for r in dataset.rows(PAIR, (Channel.DEPTH,)) if isinstance(r, Depth))
    assert (first.is_snapshot, first.last, first.at_ns) == (True, 5, START)
    assert [(level.price, level.amount) for level in first.bids] == [("100", "2.5")]
    assert (second.first, second.last, second.bids) == (6, 6, ())
    assert ids(dataset) == [10]  # 8 and 9 are from before anybody listened.
    assert list(verify_set(dataset, PLAIN)) == []


def test_a_quiet_pair_is_covered_for_as_long_as_anything_is_heard(tmp_path: Path) -> None:
    pulses = [(float(n), 1, pulse()) for n in range(1, 60)]
    dataset = one_life(tmp_path, (0, 1, snapshot(5)), (0.5, 1, listed([1])), *pulses)

    for channel in (Channel.DEPTH, Channel.TRADES):
        assert dataset.covers(channel, PAIR, START + 59 * SECOND)
        assert not dataset.covers(channel, PAIR, START + 60 * SECOND)
    assert dataset.gaps() == []


def test_a_lost_connection_is_a_gap_that_says_so(tmp_path: Path) -> None:
    dataset = one_life(
        tmp_path,
        (0, 1, snapshot(5)), (0, 1, listed([1])), (1, 1, pulse()),
        (9, 2, pulse()), (10, 2, snapshot(50)), (10, 2, listed([60, 61])), (11, 2, change(51)),
    )  # fmt: skip

    assert gaps(dataset, Channel.DEPTH) == [(1, 10, Cause.DISCONNECTED)]
    assert gaps(dataset, Channel.TRADES) == [(1, 10, Cause.DISCONNECTED)]
    assert list(verify_set(dataset, PLAIN)) == []  # What is explained is no defect.


def test_a_list_of_trades_that_reaches_back_far_enough_leaves_no_gap(tmp_path: Path) -> None:
    dataset = one_life(
        tmp_path, (0, 1, listed([1, 2])), (1, 1, traded(3)), (9, 2, listed([2, 3, 4, 5])),
        (10, 2, traded(6)),
    )  # fmt: skip

    assert ids(dataset) == [3, 4, 5, 6]
    assert gaps(dataset, Channel.TRADES) == []


def test_a_recorder_that_was_down_is_a_gap_that_says_so(tmp_path: Path) -> None:
    recorded(tmp_path / "raw", [(0, 1, snapshot(5)), (1, 1, change(6))])
    recorded(tmp_path / "raw", [(20, 1, snapshot(90)), (21, 1, change(91))], life=20)

    assert gaps(converted(tmp_path), Channel.DEPTH) == [(1, 20, Cause.RECORDER_DOWN)]


def test_records_that_a_recorder_lost_are_a_gap_that_says_how_many(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path / "raw", "record", START)
    writer.append(Captured(START, "ws.public", 1, snapshot(5)))
    writer.rotate(START)
    writer.lose(7, START + SECOND)
    writer.append(Captured(START + 2 * SECOND, "ws.public", 1, change(20)))
    writer.append(Captured(START + 3 * SECOND, "ws.public", 1, snapshot(21)))
    writer.close(START)

    dataset = converted(tmp_path)

    assert gaps(dataset, Channel.DEPTH) == [(0, 3, Cause.RECORDER_LOST)]
    assert dataset.gaps()[0].detail == "7 records"


def test_a_damaged_segment_is_a_gap(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path / "raw", "record", START)
    for n, frame in enumerate((snapshot(5), change(6), change(7), snapshot(8))):
        writer.append(Captured(START + n * SECOND, "ws.public", 1, frame))
        writer.flush(START)
    writer.close(START)
    [path] = segments(tmp_path / "raw")
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"\x89bcr\x02", raw.index(b"\x89bcr\x02") + 1) + 20] ^= 1
    path.write_bytes(raw)

    assert gaps(converted(tmp_path), Channel.DEPTH) == [(0, 3, Cause.RECORDER_LOST)]


def test_a_segment_that_was_deleted_before_it_was_converted_is_a_gap(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path / "raw", "record", START)
    for n in range(3):
        writer.append(Captured(START + n * SECOND, "ws.public", 1, snapshot(5 + n)))
        writer.rotate(START)
    segments(tmp_path / "raw")[1].unlink()

    assert gaps(converted(tmp_path), Channel.DEPTH) == [(0, 2, Cause.RECORDER_LOST)]


def test_an_exchange_that_falls_silent_may_have_traded(tmp_path: Path) -> None:
    dataset = one_life(
        tmp_path, (0, 1, snapshot(5)), (0, 1, listed([1])), (1, 1, pulse()), (7, 1, change(6)),
    )  # fmt: skip

    assert gaps(dataset, Channel.TRADES) == [(1, 7, Cause.EXCHANGE_SILENT)]
    assert gaps(dataset, Channel.DEPTH) == []  # Its changes are numbered on: none is missing.


def test_changes_that_never_came_are_a_gap_until_the_next_snapshot(tmp_path: Path) -> None:
    dataset = one_life(
        tmp_path, (0, 1, snapshot(5)), (1, 1, change(8)), (2, 1, change(9)), (3, 1, snapshot(9)),
    )  # fmt: skip

    assert gaps(dataset, Channel.DEPTH) == [(0, 3, Cause.UNKNOWN)]
    assert dataset.gaps()[0].detail == "changes 6 to 7 are missing"
    [defect] = verify_set(dataset, PLAIN)
    assert defect.flaw == "gap"


def test_a_book_that_was_joined_again_says_so(tmp_path: Path) -> None:
    dataset = one_life(tmp_path, (0, 1, snapshot(5)), (1, 1, snapshot(7)), (2, 1, snapshot(7)))
    assert gaps(dataset, Channel.DEPTH) == [(0, 1, Cause.REJOINED)]


def test_a_clock_that_is_set_back_keeps_the_order_of_what_was_heard(tmp_path: Path) -> None:
    dataset = one_life(tmp_path, (5, 1, snapshot(5)), (3, 1, change(6)), (6, 1, change(7)))
    assert [row.at_ns - START for row in dataset.rows(PAIR, (Channel.DEPTH,))] == [
        5 * SECOND, 5 * SECOND, 6 * SECOND,
    ]  # fmt: skip


def test_frames_nobody_can_read_are_counted_and_do_no_harm(tmp_path: Path) -> None:
    recorded(tmp_path / "raw", [(0, 1, snapshot(5)), (1, 1, b"]["), (2, 1, change(6))])
    folder = tmp_path / "set"
    folder.mkdir()
    manifest = Manifest(name="x")
    outcome = bring_in(Writer(folder, manifest, Provenance.LIVE), manifest, tmp_path / "raw", PLAIN)
    assert (outcome.records, outcome.refused) == (3, 1)


def test_the_rules_that_the_exchange_stated_are_in_the_set(tmp_path: Path) -> None:
    sample = SAMPLES / "rest-exchangeinfo.json"
    if not sample.exists():
        pytest.skip("the captures of the exchange are not beside the clone (../shared)")
    writer = SegmentWriter(tmp_path / "raw", "record", START)
    source = "rest GET /api/v2/server/exchangeinfo"
    writer.append(Captured(START, source, 0, sample.read_bytes()))
    writer.append(Captured(START, "ws.public", 1, snapshot(5)))
    writer.close(START)

    [rules] = converted(tmp_path).manifest.rules

    assert (rules.pair, rules.base) == (PAIR, DOCUMENTED[PAIR].base)


KINDS = ("snapshot", "change", "skip", "trade", "list", "pulse", "silence", "session")


def story(words: list[str]) -> list[tuple[float, int, bytes]]:
    """Return the frames of a life in which these things happen, one a second."""
    at, session, number, trade_id = 0.0, 1, 10, 1
    frames = []
    for word in words:
        at += 9 if word == "silence" else 1
        session += word == "session"
        number += {"change": 1, "skip": 2, "session": 5}.get(word, 0)
        trade_id += {"trade": 1, "session": 2}.get(word, 0)
        frame = {
            "snapshot": lambda n=number: snapshot(n),
            "change": lambda n=number: change(n),
            "skip": lambda n=number: change(n),
            "trade": lambda n=trade_id: traded(n),
            "list": lambda n=trade_id: listed(range(max(n - 3, 1), n + 1)),
        }.get(word, pulse)
        frames.append((at, session, frame()))
    return frames


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(KINDS), min_size=1, max_size=25), st.data())
def test_converting_in_steps_gives_what_converting_at_once_gives(
    tmp_path_factory: pytest.TempPathFactory, words: list[str], data: st.DataObject
) -> None:
    frames = story(words)
    cut = data.draw(st.integers(0, len(frames)))
    tmp_path = tmp_path_factory.mktemp("steps")
    recorded(tmp_path / "whole" / "raw", frames)
    whole = converted(tmp_path / "whole")

    writer = SegmentWriter(tmp_path / "parts" / "raw", "record", START)
    for n, (seconds, session, frame) in enumerate(frames):
        writer.append(Captured(START + round(seconds * SECOND), "ws.public", session, frame))
        if n + 1 == cut:
            writer.flush(START)
            converted(tmp_path / "parts")
    writer.close(START)
    parts = converted(tmp_path / "parts")

    assert list(parts.rows(PAIR, list(Channel))) == list(whole.rows(PAIR, list(Channel)))
    assert parts.manifest.intervals == whole.manifest.intervals
    assert parts.gaps() == whole.gaps()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(KINDS), min_size=1, max_size=25))
def test_a_converted_recording_has_no_defect_but_gaps(
    tmp_path_factory: pytest.TempPathFactory, words: list[str]
) -> None:
    tmp_path = tmp_path_factory.mktemp("sound")
    recorded(tmp_path / "raw", story(words))
    assert {defect.flaw for defect in verify_set(converted(tmp_path), PLAIN)} <= {"gap"}


def test_what_a_capture_left_raw_when_it_died_is_converted_when_the_set_is_opened(
    tmp_path: Path,
) -> None:
    save(tmp_path, Manifest(name="x"))
    raw = tmp_path / "raw" / "record"
    recorded(raw, [(0, 1, snapshot(5)), (1, 1, change(6))])
    [path] = segments(raw)
    path.write_bytes(path.read_bytes()[:-10])  # It was killed before it could seal.

    recover(tmp_path)

    dataset = Dataset(tmp_path)
    assert len(list(dataset.rows(PAIR, (Channel.DEPTH,)))) == 2
    assert not has_news(raw, dataset.manifest.converted["record"])
    before = (tmp_path / "manifest.json").read_bytes()
    recover(tmp_path)
    assert (tmp_path / "manifest.json").read_bytes() == before
