"""One operating-system process per module: State, handle, perform, main."""

from typing import Protocol

from btcbot.config import Config
from btcbot.domain.agent import AGENT
from btcbot.domain.checks import check
from btcbot.domain.control import CONTROL
from btcbot.domain.decisions import DECISIONS
from btcbot.domain.facts import FACTS
from btcbot.domain.feed import FEED
from btcbot.domain.ids import CommandId
from btcbot.domain.messages import REQUESTS, STREAMS, Record
from btcbot.domain.venue import VENUE
from btcbot.source import code
from bus.actor import Ask
from bus.envelope import Codec
from bus.runtime import Place

CODEC = Codec(
    arrays=STREAMS,
    maps=(*REQUESTS, *DECISIONS, *FACTS, *FEED, *VENUE, *CONTROL, *AGENT),
    check=check,
)
"""Every message that actors exchange or hear from outside."""


def place_of(config: Config) -> Place:
    """Return where an actor lives on the home of `config`, and which code it runs."""
    return Place(
        run=config.run,
        journal=config.journal,
        quarantine=config.quarantine,
        codec=CODEC,
        code=code(),
    )


class Keeper(Protocol):
    """A state of an actor that has execution keep what it must know in a later life."""

    epoch: int
    records: int


def ask_to_record(state: Keeper, owner: str, kind: str, key: str, payload: bytes) -> Ask:
    """Ask execution to keep `payload`, under the next number of this life."""
    state.records += 1
    command = CommandId(f"{owner}-{state.epoch}-{state.records}")
    record = Record(command_id=command, owner=owner, kind=kind, key=key, payload=payload)
    return Ask("execution", record, command)
