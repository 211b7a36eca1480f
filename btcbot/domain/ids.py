"""Ids are derived, not drawn: the same decision always has the same intent and client order id."""

import hashlib
from typing import NewType

Pair = NewType("Pair", str)  # "BTCTRY", as the exchange spells `name`.
Asset = NewType("Asset", str)  # "BTC", "TRY".
IntentId = NewType("IntentId", str)  # 26 characters of [a-z2-7].
ClientOrderId = NewType("ClientOrderId", str)  # "b1-" instance tag "-" intent id, 35 characters.
OrderId = NewType("OrderId", int)  # The exchange's, 64 bits.
TradeId = NewType("TradeId", int)  # The exchange's, 64 bits, above 2^53.
CommandId = NewType("CommandId", str)  # One per operator command, chosen by the sender.

TAG_LENGTH = 5
_VERSION = "b1"
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
# Two characters at a time: each wish of a strategy waits for its id.
_PAIRS = tuple(first + second for first in _ALPHABET for second in _ALPHABET)
_SHIFTS = range(120, -1, -10)


def intent_id(strategy: str, strategy_epoch: int, decision: int, leg: int) -> IntentId:
    """Return the id of one leg of one decision: the same arguments give the same id."""
    return IntentId(_hash26(f"{strategy}|{strategy_epoch}|{decision}|{leg}"))


def instance_tag(seed: str) -> str:
    """Return five characters of [a-z2-7] that name this installation in every client order id."""
    return _hash26(seed)[:TAG_LENGTH]


def client_order_id(tag: str, intent: IntentId) -> ClientOrderId:
    """Return the label the exchange echoes; it proves ownership, it does not prevent duplicates."""
    return ClientOrderId(f"{_VERSION}-{tag}-{intent}")


def is_ours(client_id: str, tag: str) -> bool:
    """Return whether this installation made `client_id`."""
    return client_id.startswith(f"{_VERSION}-{tag}-")


def is_of_btcbot(client_id: str) -> bool:
    """Return whether some installation of btcbot made `client_id`."""
    return client_id.startswith(f"{_VERSION}-")


def _hash26(seed: str) -> str:
    """Return 16 bytes of blake2b in base 32 (RFC 4648, lower case, unpadded): 26 characters."""
    digest = hashlib.blake2b(seed.encode(), digest_size=16).digest()
    bits = int.from_bytes(digest) << 2  # 130: 13 pairs of characters.
    return "".join([_PAIRS[bits >> shift & 1_023] for shift in _SHIFTS])
