"""Streams: gaps are seen, state is conflated, and every fact is handled once, in order."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from bus.actor import Actor, CaughtUp, FactsAfter, FactsPage, Health, Hears, Kept, StreamGap
from bus.envelope import FRAME_MAX, Refused
from bus.kept import AnotherLog, digest_of
from bus.streams import Arrival, FactCursor, Sequences, Ways, page_of
from tests.bus.station import (
    CODEC,
    Calibrated,
    Calm,
    Reading,
    Room,
    Storm,
    beat,
    frame,
    noting,
)

NEXT, GAP, OLD = Arrival.NEXT, Arrival.AFTER_GAP, Arrival.OLD


@pytest.mark.parametrize(
    ("arrivals", "expected"),
    [
        ([(1, 7), (1, 8)], [NEXT, NEXT]),  # A first message is never a gap.
        ([(1, 1), (1, 3), (1, 4)], [NEXT, GAP, NEXT]),
        ([(1, 2), (1, 2), (1, 1), (1, 3)], [NEXT, OLD, OLD, NEXT]),
        ([(1, 5), (2, 1), (2, 2)], [NEXT, NEXT, NEXT]),  # A new life counts anew.
        ([(2, 1), (1, 2), (2, 2)], [NEXT, OLD, NEXT]),  # A ghost of the last life is dropped.
        ([(2, 1), (3, 9), (2, 10)], [NEXT, NEXT, OLD]),
    ],
)
def test_sequences_tell_next_from_gap_from_old(
    arrivals: list[tuple[int, int]], expected: list[Arrival]
) -> None:
    sequences = Sequences()
    assert [sequences.arrive("a", epoch, "t", n) for epoch, n in arrivals] == expected


def test_sources_and_topics_count_for_themselves() -> None:
    sequences = Sequences()
    sequences.arrive("a", 1, "t", 5)
    assert sequences.arrive("a", 1, "u", 1) is NEXT
    assert sequences.arrive("b", 9, "t", 1) is NEXT
    assert sequences.arrive("a", 1, "t", 6) is NEXT


def test_a_topic_is_heard_only_as_it_was_asked_for() -> None:
    ways = Ways((Hears(source="a", topic="air."), Hears(source="b", topic="sea", conflate=False)))
    for _ in range(2):  # The second time from what is remembered.
        assert ways.of("a", "air.roof") is not None
        assert ways.of("b", "air.roof") is None
        assert ways.of("a", "air") is None
        assert ways.of("b", "seaside") is not None


def listener(heard: list[Struct], *, conflate: bool) -> Actor[int]:
    hears = (Hears(source="mast", topic="air.", conflate=conflate),)
    return Actor(name="ear", state=0, handle=noting(heard), hears=hears)


def roof(degrees: int) -> Reading:
    return Reading(place="roof", degrees=degrees)


def test_increments_are_all_heard_and_a_gap_is_said_before_what_follows_it(tmp_path: Path) -> None:
    heard: list[Struct] = []
    room = Room(tmp_path, listener(heard, conflate=False)).start()
    heard.clear()

    room.stream(*(frame(roof(n), sequence=n) for n in (1, 2, 2, 5, 4, 6)))

    gap = StreamGap(source="mast", topic="air.roof")
    assert heard == [roof(1), roof(2), gap, roof(5), roof(6)]


def test_state_is_conflated_by_topic_and_skipped_sequences_are_normal(tmp_path: Path) -> None:
    heard: list[Struct] = []
    room = Room(tmp_path, listener(heard, conflate=True)).start()
    heard.clear()

    cellar = Reading(place="cellar", degrees=9)
    room.stream(
        frame(roof(1), sequence=1), frame(cellar, topic="air.cellar", sequence=1),
        frame(roof(4), sequence=4), frame(roof(3), sequence=3),
    )  # fmt: skip

    assert heard == [roof(4), cellar]
    assert room.journaled()[1:] == heard  # What is handled is what is on record.


def test_a_lower_epoch_is_ignored_and_a_higher_one_starts_over(tmp_path: Path) -> None:
    heard: list[Struct] = []
    room = Room(tmp_path, listener(heard, conflate=False)).start()
    heard.clear()

    room.stream(frame(roof(1), epoch=5, sequence=9), frame(roof(2), epoch=4, sequence=10))
    room.stream(frame(roof(3), epoch=6, sequence=1), frame(roof(4), epoch=5, sequence=10))

    assert heard == [roof(1), roof(3)]


# --- facts ------------------------------------------------------------------------------------


def log_of(size: int) -> list[tuple[int, Struct]]:
    """Return a log in which every third fact is of a kind nobody here asks for."""
    return [(n, Calm() if n % 3 == 0 else Storm(number=n)) for n in range(1, size + 1)]


def page(log: list[tuple[int, Struct]], request: FactsAfter, most: int) -> FactsPage:
    """Answer as the writer does."""
    rows = [row for row in log if row[0] > request.after]
    wanted = [row for row in rows if row[1].__struct_config__.tag in request.tags][:most]
    through = wanted[-1][0] if len(wanted) == most else log[-1][0]
    return page_of(wanted, through, log[-1][0], CODEC.encode_message)


def kept(sequence: int, fact: Struct) -> Kept:
    """Return how far a life went that folded `fact` last."""
    digest = digest_of(CODEC.encode_message(fact))
    return Kept(Path("nowhere"), "code", b"origin", sequence, digest)


@given(st.data())
def test_whatever_is_lost_doubled_or_out_of_order_each_fact_is_taken_once_in_order(
    data: Any,
) -> None:
    start = data.draw(st.sampled_from((0, 1, 2, 4)))  # The last fact of an earlier life; 0: none.
    log, later = log_of(start), log_of(data.draw(st.integers(start + 1, 30)))[start:]
    cursor = FactCursor((Storm,), kept(*log[-1]) if log else None)
    cursor.WAITING_MAX = data.draw(st.integers(0, 5))
    taken: list[tuple[int, Struct]] = []

    for row in later:
        log.append(row)
        arrived = data.draw(st.lists(st.sampled_from(log), max_size=2))
        if data.draw(st.booleans()):
            arrived.append(row)
        for sequence, fact in arrived:
            taken += cursor.heard(sequence, fact)
        if not cursor.is_caught_up and data.draw(st.booleans()):
            known_from = max(start - 1, 0)
            older = known_from if cursor.through == known_from else start
            after = data.draw(st.sampled_from((cursor.through, older)))  # Or an older question.
            request = FactsAfter(after=after, tags=cursor.tags)
            taken += cursor.page(page(log, request, 2), CODEC.decode_message)
    cursor.heard_head(log[-1][0])
    for _ in range(40):
        if not cursor.is_caught_up:
            taken += cursor.page(page(log, cursor.request, 2), CODEC.decode_message)

    assert cursor.is_caught_up
    assert taken == [row for row in log if isinstance(row[1], Storm) and row[0] > start]


def test_who_has_caught_up_takes_each_next_fact_as_it_is_said_and_asks_for_nothing() -> None:
    log = log_of(9)
    cursor = FactCursor((Storm,))
    cursor.page(page(log[:2], cursor.request, 500), CODEC.decode_message)
    taken = [row for sequence, fact in log[2:] for row in cursor.heard(sequence, fact)]

    assert taken == [row for row in log[2:] if isinstance(row[1], Storm)]
    assert cursor.is_caught_up
    assert cursor.through == 9


def test_a_head_beyond_what_was_heard_means_behind() -> None:
    cursor = FactCursor((Storm,))
    cursor.page(FactsPage(facts=(), through=3, head=3), CODEC.decode_message)
    assert cursor.is_caught_up
    cursor.heard_head(3)
    assert cursor.is_caught_up
    cursor.heard_head(4)
    assert not cursor.is_caught_up
    assert cursor.request == FactsAfter(after=3, tags=("storm",))


@pytest.mark.parametrize(
    "found",
    [
        FactsPage(facts=(), through=3, head=3),  # The log is shorter: an older copy.
        FactsPage(facts=((4, CODEC.encode_message(Storm(number=5))),), through=4, head=4),
        FactsPage(facts=((5, CODEC.encode_message(Storm(number=4))),), through=5, head=5),
    ],
)
def test_a_log_without_the_fact_that_an_earlier_life_folded_last_is_another(
    found: FactsPage,
) -> None:
    cursor = FactCursor((Storm,), kept(4, Storm(number=4)))
    assert cursor.request == FactsAfter(after=3, tags=("storm",))

    with pytest.raises(AnotherLog, match="fact 4 is not the one"):
        cursor.page(found, CODEC.decode_message)

    assert not cursor.is_caught_up


def test_the_fact_that_an_earlier_life_folded_last_is_not_taken_again() -> None:
    log = log_of(5)
    cursor = FactCursor((Storm,), kept(*log[3]))

    taken = cursor.page(page(log, cursor.request, 500), CODEC.decode_message)

    assert taken == [log[4]]
    assert cursor.is_caught_up


def test_a_page_from_before_what_was_heard_live_does_not_catch_up_with_it() -> None:
    log = log_of(5)
    cursor = FactCursor((Storm,))
    cursor.page(page(log[:2], cursor.request, 500), CODEC.decode_message)
    cursor.heard(*log[4])

    taken = cursor.page(page(log[:3], cursor.request, 500), CODEC.decode_message)

    assert (taken, cursor.is_caught_up) == ([], False)
    assert cursor.page(page(log, cursor.request, 500), CODEC.decode_message) == log[3:]
    assert cursor.is_caught_up


STORM = CODEC.encode_message(Storm(number=1))


@pytest.mark.parametrize(
    "bad",
    [
        FactsPage(facts=((2, STORM), (1, STORM)), through=2, head=2),
        FactsPage(facts=((1, STORM), (1, STORM)), through=1, head=1),
        FactsPage(facts=((5, STORM),), through=4, head=9),
        FactsPage(facts=((1, b"\x02\x80"),), through=1, head=1),
        FactsPage(facts=((1, STORM), (2, b"")), through=2, head=2),
        FactsPage(facts=((1, CODEC.encode_message(Calm())),), through=1, head=1),
    ],
)
def test_a_page_that_cannot_be_right_is_refused_whole(bad: FactsPage) -> None:
    cursor = FactCursor((Storm,))
    with pytest.raises(Refused):
        cursor.page(bad, CODEC.decode_message)
    assert cursor.through == 0
    assert not cursor.is_caught_up


def test_a_page_never_outgrows_a_frame() -> None:
    heavy: list[tuple[int, Struct]] = [
        (n, Storm(number=n, log=bytes(65_536))) for n in range(1, 501)
    ]
    cursor, rounds = FactCursor((Storm,)), 0
    taken: list[tuple[int, Struct]] = []
    while not cursor.is_caught_up:
        found = page(heavy, cursor.request, 500)
        assert len(frame(found)) <= FRAME_MAX
        taken += cursor.page(found, CODEC.decode_message)
        rounds += 1
    assert taken == heavy
    assert rounds > 10


# --- a shell that folds facts -----------------------------------------------------------------


class Reader(Room):
    """An actor that folds storms; the writer is `mast`."""

    def __init__(self, folder: Path) -> None:
        self.heard: list[Struct] = []
        actor: Actor[int] = Actor(
            name="ear", state=0, handle=noting(self.heard), facts=(Storm,), needs=("mast",),
            hears=(Hears(source="mast", topic="fact", conflate=False),),
        )  # fmt: skip
        super().__init__(folder, actor)
        self.start()
        self.heard.clear()

    @property
    def asked(self) -> list[FactsAfter]:
        return [CODEC.decode(raw).message for _, raw in self.wire.asked]

    def give(self, found: FactsPage) -> None:
        _, raw = self.wire.asked[-1]
        self.answer(frame(found, topic=CODEC.decode(raw).topic))

    def said(self, *numbers: int, epoch: int = 1) -> None:
        for n in numbers:
            self.stream(frame(Storm(number=n), topic="fact", sequence=n, epoch=epoch))


def facts(*numbers: int, head: int) -> FactsPage:
    rows = tuple((n, CODEC.encode_message(Storm(number=n))) for n in numbers)
    return FactsPage(facts=rows, through=numbers[-1] if numbers else head, head=head)


def test_who_starts_late_asks_first_and_applies_what_arrived_meanwhile_after(
    tmp_path: Path,
) -> None:
    room = Reader(tmp_path)
    room.stream(beat(head=4))
    assert room.health() is Health.RECOVERING
    assert room.asked == [FactsAfter(after=0, tags=("storm",))]

    room.said(5, 6)  # Live, while the answer is on its way.
    room.give(facts(1, 3, head=4))  # Not whole: one more page to come.
    room.give(facts(4, head=6))

    storms = [message for message in room.heard if not isinstance(message, CaughtUp)][1:]
    assert storms == [Storm(number=n) for n in (1, 3, 4, 5, 6)]
    assert room.heard[-1] == CaughtUp(head=6)
    assert room.health() is Health.READY


def test_the_next_page_is_asked_for_before_this_one_is_handled(tmp_path: Path) -> None:
    room = Reader(tmp_path)
    room.stream(beat(head=4))
    room.heard.clear()
    [(_, raw)] = room.wire.asked
    found = frame(facts(1, 2, head=4), topic=CODEC.decode(raw).topic)

    room.shell.heard_answer("mast", found)
    assert (room.asked[1:], room.heard) == ([FactsAfter(after=2, tags=("storm",))], [])
    room.shell.work()

    assert (len(room.asked), room.heard) == (2, [Storm(number=1), Storm(number=2)])


def test_a_lost_fact_is_healed_before_the_next_is_handled(tmp_path: Path) -> None:
    room = Reader(tmp_path)
    room.stream(beat(head=1))
    room.give(facts(1, head=1))
    room.heard.clear()

    room.said(2, 5)
    assert room.heard == [Storm(number=2)]
    assert room.health() is Health.RECOVERING
    room.give(facts(3, 4, head=5))

    assert room.heard == [*(Storm(number=n) for n in (2, 3, 4, 5)), CaughtUp(head=5)]
    assert room.journaled()[-5:] == room.heard


def test_the_last_fact_lost_is_missed_by_the_next_heartbeat(tmp_path: Path) -> None:
    room = Reader(tmp_path)
    room.stream(beat(head=1))
    room.give(facts(1, head=1))
    room.wire.asked.clear()

    room.stream(beat(head=2, number=2))

    assert room.asked == [FactsAfter(after=1, tags=("storm",))]


def test_a_page_that_cannot_be_read_is_asked_for_again_and_nothing_is_skipped(
    tmp_path: Path,
) -> None:
    room = Reader(tmp_path)
    room.stream(beat(head=2))
    room.heard.clear()

    room.give(FactsPage(facts=((1, STORM), (2, b"\x02\x81")), through=2, head=2))

    assert room.heard == []
    assert room.quarantine.counts.total() == 1
    room.wait(0.2)
    assert room.asked == [FactsAfter(after=0, tags=("storm",))] * 2
    room.give(facts(1, 2, head=2))
    assert room.heard == [Storm(number=1), Storm(number=2), CaughtUp(head=2)]


def test_an_answer_that_was_never_asked_for_is_dropped(tmp_path: Path) -> None:
    room = Reader(tmp_path)
    room.answer(frame(facts(1, head=1), topic="facts/x"))
    room.answer(frame(Calibrated(name="x"), topic="x"))
    assert room.heard == []


def test_a_ghosts_facts_are_ignored(tmp_path: Path) -> None:
    room = Reader(tmp_path)
    room.stream(beat(head=1, epoch=5))
    room.give(facts(1, head=1))
    room.heard.clear()

    room.said(2, epoch=4)
    room.said(2, epoch=5)

    assert room.heard == [Storm(number=2)]


def test_facts_of_another_source_are_no_facts(tmp_path: Path) -> None:
    room = Reader(tmp_path)
    room.stream(beat(head=0))
    room.give(facts(head=0))
    room.heard.clear()

    room.stream(frame(Storm(number=1), source="thief", topic="fact"), source="thief")

    assert room.heard == []
