"""`btcbot record`, and the capture of the two actors that hear the exchange: real processes."""

import json
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import Struct

from btcbot.catalog.segments import Acknowledged, Captured, read, segments, verify
from btcbot.cli import exits
from btcbot.cli.record import REJOIN_S, Recorder
from btcbot.domain.feed import BookChange, BookSnapshot, FeedUp, Join, ReadRules
from btcbot.domain.ids import Pair
from btcbot.simulation import defaults
from tests.catalog.programs import end, program, sandbox, wait_for

pytestmark = pytest.mark.timeout(120)
PAIR = Pair("BTCTRY")
KINDS = ("[431,", "[432,", "[421,", "[422,", "[401,")  # Book, changes, trades, trade, tickers.


@pytest.fixture(scope="module")
def exchange() -> Iterator[str]:
    with sandbox("--speed", "20") as url:
        yield url


@pytest.fixture
def home() -> Iterator[Path]:
    """Give a short path: sockets have to fit."""
    with tempfile.TemporaryDirectory(prefix="b") as name:
        yield Path(name)


def kept(home: Path, writer: str) -> list[Captured]:
    folder = home / "data" / "raw" / writer
    return [record for path in segments(folder) for record in read(path)]


def begins(home: Path, writer: str) -> set[str]:
    """Return how the frames that are kept begin: their types."""
    return {
        record.payload.decode()[:5]
        for record in kept(home, writer)
        if record.source.startswith("ws.")
    }


def settings(home: Path, url: str, **more: str) -> dict[str, str]:
    return {"BTCBOT__HOME": str(home), "BTCBOT__EXCHANGE__REST_URL": url, **more}


def test_it_keeps_the_public_channels_of_the_pairs_until_it_is_told_to_end(
    exchange: str, home: Path
) -> None:
    said = home.with_suffix(".err")
    with program("record", output=said, settings=settings(home, exchange)) as recorder:
        wait_for(lambda: begins(home, "record") >= set(KINDS), "a frame of each kind")
        with program("record", settings=settings(home, exchange)) as second:
            assert second.wait(40) == exits.TRY_LATER
        assert end(recorder, signal.SIGINT) == exits.OK

    assert all(verify(path).is_sound for path in segments(home / "data/raw/record"))
    records = kept(home, "record")
    assert "rest GET /api/v2/server/exchangeinfo" in {record.source for record in records}
    text = b"\n".join(record.payload for record in records)
    assert b'"channel":"obdiff","event":"BTCTRY"' in text.replace(b" ", b"")
    assert b'"channel":"obdiff","event":"ETHTRY"' in text.replace(b" ", b"")
    assert f"{len(records):,} kept, 0 lost" in said.read_text(encoding="utf-8")
    said.unlink()


def test_a_later_segment_has_whole_books_and_rules_so_that_it_can_be_used_alone(
    exchange: str, home: Path
) -> None:
    folder = home / "data/raw/record"

    def is_whole(path: Path) -> bool:
        records = list(read(path))
        books = [one.payload for one in records if one.payload.startswith(b"[431,")]
        pairs = {json.loads(book)[1]["PS"] for book in books}
        sources = {one.source for one in records}
        return pairs == {"BTCTRY", "ETHTRY"} and "rest GET /api/v2/server/exchangeinfo" in sources

    often = settings(home, exchange, BTCBOT__CAPTURE__ROTATE_S="3")
    with program("record", settings=often) as recorder:
        wait_for(lambda: any(map(is_whole, segments(folder)[1:])), "a whole later segment")
        assert end(recorder) == exits.OK


def test_what_was_acknowledged_survives_kill_9(exchange: str, home: Path) -> None:
    with program("record", "--json", settings=settings(home, exchange)) as recorder:
        assert recorder.stdout is not None
        lines = [json.loads(recorder.stdout.readline()) for _ in range(4)]
        recorder.kill()
        lines += map(json.loads, recorder.stdout.read().splitlines())

    last = lines[-1]
    assert set(last) == {"segment", "size", "records"}
    report = verify(Path(last["segment"]))
    assert report.records >= last["records"] > 0
    assert (report.is_sealed, report.damaged) == (False, ())


def test_a_recorder_that_could_not_keep_all_ends_with_1_and_says_why(
    exchange: str, home: Path
) -> None:
    said = home.with_suffix(".err")
    (home / "data").mkdir()
    (home / "data" / "raw").write_text("a file in its place", encoding="ascii")
    home.chmod(0o700)
    with program("record", output=said, settings=settings(home, exchange)) as recorder:
        wait_for(lambda: "capture_stopped" in said.read_text(encoding="utf-8"))
        assert end(recorder) == exits.ERROR

    last = said.read_text(encoding="utf-8").splitlines()[-1]
    said.unlink()
    assert "frames could not be kept" in last
    assert "it has to be a folder of the user that runs btcbot" in last


def test_both_actors_that_hear_the_exchange_keep_what_it_said(exchange: str, home: Path) -> None:
    with (
        program("actor", "execution", settings=settings(home, exchange)),
        program("actor", "market_data", settings=settings(home, exchange)) as market_data,
    ):
        wait_for(lambda: begins(home, "market_data") >= set(KINDS), "public frames")
        wait_for(lambda: "[114," in begins(home, "execution"), "the answer to the login")
        sources = "rest GET /api/v1/users/balances"
        wait_for(lambda: sources in {one.source for one in kept(home, "execution")}, sources)
        assert end(market_data) == exits.OK

    assert {one.source for one in kept(home, "market_data")} >= {"ws.public"}
    for secret in (defaults.API_KEY, defaults.API_SECRET, "X-Signature", "X-PCK"):
        for record in kept(home, "execution"):
            assert secret.encode() not in record.payload + record.source.encode()
    assert all(verify(path).is_sound for path in segments(home / "data/raw/market_data"))


def test_an_actor_whose_capture_is_off_keeps_nothing(exchange: str, home: Path) -> None:
    off = settings(home, exchange, BTCBOT__CAPTURE__ENABLED="false")
    with program("actor", "market_data", settings=off) as market_data:
        wait_for((home / "run" / "market_data.ready").exists, "READY")
        assert end(market_data) == exits.OK

    assert not (home / "data" / "raw").exists()


# --- what the recorder itself decides ---------------------------------------------------------


class Desk:
    """A recorder with a clock that is set by hand, and what it started."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.started: list[Struct] = []
        self.recorder = Recorder((PAIR,), lambda: self.now_s)
        self.recorder.start = self.started.append

    def book(self, change_set: int) -> None:
        self.recorder.deliver(
            BookSnapshot(pair=PAIR, change_set=change_set, bids=b"[]", asks=b"[]")
        )

    def changes(self, *change_sets: int) -> None:
        for change_set in change_sets:
            self.recorder.deliver(BookChange(pair=PAIR, change_set=change_set, bids=(), asks=()))


def test_a_hole_in_a_book_is_mended_by_joining_again_but_not_at_every_frame() -> None:
    desk = Desk()
    desk.book(5)
    desk.changes(5, 6, 7)
    assert desk.started == []

    desk.changes(9, 10)
    assert desk.started == [Join(PAIR)]
    desk.now_s += REJOIN_S + 1
    desk.changes(11)
    assert desk.started == [Join(PAIR), Join(PAIR)]

    desk.book(20)
    desk.changes(21)
    desk.recorder.deliver(FeedUp(session=2))  # The feed joins by itself; numbers begin anew.
    desk.changes(900)
    assert len(desk.started) == 2


def test_every_segment_but_the_first_asks_for_books_and_rules() -> None:
    desk = Desk()
    for name in ("a", "a", "b", "b"):
        desk.recorder.flushed((Acknowledged(Path(name), 1, 1),))

    assert desk.started == [Join(PAIR), ReadRules()]
