"""Facts that wait to be written: nobody who reads can tell."""

from pathlib import Path

import pytest

from btcbot.store.batch import Batch
from btcbot.store.queries import History
from btcbot.store.writer import Writer
from tests.store.facts import recorded, started

TAGS = ("epoch_started", "recorded")


def batch(at_once: int) -> Batch:
    return Batch(Writer(":memory:"), at_once)


def test_what_waits_is_read_like_what_is_written() -> None:
    journal = batch(10)
    journal.commit((recorded(1), recorded(2)), 1)

    found, through = journal.facts_after(0, TAGS, 500)

    assert found == [(1, recorded(1)), (2, recorded(2))]
    assert through == 2
    journal.commit((recorded(3),), 3)
    assert History(journal.reader).head()[0] == 3


def test_many_commits_leave_the_chain_that_one_at_a_time_leaves() -> None:
    heads = set()
    for at_once in (1, 4, 100):
        journal = batch(at_once)
        journal.begin_epoch(1)
        for number in range(1, 8):
            journal.commit((recorded(number),), number)
        journal.begin_epoch(2)
        journal.commit((started(8), recorded(9)), 8)
        heads.add(History(journal.reader).head())

    assert len(heads) == 1


def test_with_one_at_once_each_commit_is_durable_when_it_returns(tmp_path: Path) -> None:
    path = tmp_path / "btcbot.db"
    journal = Batch(Writer(str(path)), 1)
    journal.commit((recorded(1),), 1)

    assert History(path).head()[0] == 1
    journal.close()


def test_what_waits_is_written_before_the_database_is_let_go(tmp_path: Path) -> None:
    path = tmp_path / "btcbot.db"
    journal = Batch(Writer(str(path)), 100)
    journal.commit((recorded(1),), 1)
    assert History(path).head()[0] == 0

    journal.close()

    assert History(path).head()[0] == 1


def test_facts_out_of_their_place_are_refused_also_while_others_wait() -> None:
    journal = batch(100)
    journal.commit((recorded(1),), 1)

    with pytest.raises(AssertionError, match="from 4, but the head is 1"):
        journal.commit((recorded(2),), 4)
