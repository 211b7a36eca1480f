"""The states of an order and every move that may happen; the database holds the same table."""

#              +--> REJECTED       +--> ABSENT --(seen later)--> ZOMBIE --> CLOSING
#    SENDING --+--> NOT_SENT       |
#       |      +--> OPEN <----- UNKNOWN <-- (any doubt, or a restart in SENDING)
#       |           |  |          ^
#       +-----------|--|----------+
#                   |  +-> CANCEL_REQ -+
#                   |                  v
#                   +--------------> CLOSING --(fills add up)--> CLOSED
#
# Besides: UNKNOWN goes to CLOSED by a person's word, and CLOSED to ZOMBIE when that was wrong.

from typing import Final

from btcbot.domain.words import OrderState as S

TERMINAL: Final = frozenset({S.REJECTED, S.NOT_SENT, S.ABSENT, S.CLOSED})
ON_EXCHANGE: Final = frozenset({S.OPEN, S.CANCEL_REQ, S.CLOSING, S.ZOMBIE})
IN_DOUBT: Final = frozenset({S.SENDING, S.UNKNOWN})

LEGAL: Final[frozenset[tuple[S, S]]] = frozenset(
    {
        (S.SENDING, S.NOT_SENT),
        (S.SENDING, S.REJECTED),
        (S.SENDING, S.OPEN),
        (S.SENDING, S.UNKNOWN),
        (S.UNKNOWN, S.OPEN),
        (S.UNKNOWN, S.REJECTED),  # A late reply with a definitive refusal.
        (S.UNKNOWN, S.ABSENT),
        (S.UNKNOWN, S.CLOSED),  # A person says that it is over.
        (S.OPEN, S.CANCEL_REQ),
        (S.OPEN, S.CLOSING),
        (S.CANCEL_REQ, S.CLOSING),
        (S.CLOSING, S.CLOSED),
        # A contradiction is always recorded: the exchange has what we believed it had not.
        (S.ABSENT, S.ZOMBIE),
        (S.REJECTED, S.ZOMBIE),
        (S.NOT_SENT, S.ZOMBIE),
        (S.CLOSED, S.ZOMBIE),  # Closed by a person's word alone.
        (S.ZOMBIE, S.CLOSING),
    }
)


def is_terminal(state: S) -> bool:
    """Return whether nothing more is expected of an order in `state`."""
    return state in TERMINAL


def may_move(old: S, new: S) -> bool:
    """Return whether an order may go from `old` to `new`."""
    return (old, new) in LEGAL
