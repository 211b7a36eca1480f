"""Facts to write: as many as a test wants, each different."""

from btcbot.domain.facts import EpochStarted, Fact, Recorded
from btcbot.domain.ids import CommandId
from btcbot.store.writer import Writer

START_NS = 1_795_000_000_000_000_000


def started(number: int) -> EpochStarted:
    return EpochStarted(epoch=number, instance="tests", mode="sandbox", at_ns=START_NS + number)


def recorded(number: int) -> Recorded:
    return Recorded(
        owner="a test", kind="note", key=str(number), payload=b"x" * (number % 50),
        command_id=CommandId(f"c{number}"), at_ns=START_NS + number,
    )  # fmt: skip


def write(writer: Writer, count: int) -> None:
    """Commit `count` facts, one at a time."""
    for _ in range(count):
        commit(writer, recorded(writer.head + 1))


def commit(writer: Writer, *facts: Fact) -> None:
    writer.commit(facts, writer.head + 1)
