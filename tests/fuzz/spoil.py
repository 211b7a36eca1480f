"""Spoils files as disks and crashes do: flipped bits, cut ends, and pieces put elsewhere."""

import random
from collections.abc import Sequence


class Broken(AssertionError):
    """A reader did what none may; says with which input."""


def spoil(raw: bytes, other: bytes, draw: random.Random) -> bytes:
    """Return `raw` spoilt in one to three places; `other` is what pieces may come from."""
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        raw = _WAYS[draw.randrange(len(_WAYS))](raw, other, draw)
    return raw


def _flip(raw: bytes, _other: bytes, draw: random.Random) -> bytes:
    if not raw:
        return raw
    at = draw.randrange(len(raw))
    return raw[:at] + bytes([raw[at] ^ 1 << draw.randrange(8)]) + raw[at + 1 :]


def _cut(raw: bytes, _other: bytes, draw: random.Random) -> bytes:
    return raw[: draw.randint(0, len(raw))]


def _remove(raw: bytes, _other: bytes, draw: random.Random) -> bytes:
    start, end = _piece(raw, draw)
    return raw[:start] + raw[end:]


def _repeat(raw: bytes, _other: bytes, draw: random.Random) -> bytes:
    start, end = _piece(raw, draw)
    at = draw.choice((end, draw.randint(0, len(raw))))
    return raw[:at] + raw[start:end] + raw[at:]


def _overwrite(raw: bytes, other: bytes, draw: random.Random) -> bytes:
    start, end = _piece(other, draw)
    at = draw.choice((start, draw.randint(0, len(raw))))
    return raw[:at] + other[start:end] + raw[at + end - start :]


def _insert(raw: bytes, other: bytes, draw: random.Random) -> bytes:
    start, end = _piece(other, draw)
    junk = other[start:end] if draw.random() < 0.6 else draw.randbytes(draw.randint(1, 40))
    at = draw.randint(0, len(raw))
    return raw[:at] + junk + raw[at:]


def _zero(raw: bytes, _other: bytes, draw: random.Random) -> bytes:
    start, end = _piece(raw, draw)
    return raw[:start] + bytes(end - start) + raw[end:]


def _join(raw: bytes, other: bytes, draw: random.Random) -> bytes:
    return raw[: draw.randint(0, len(raw))] + other[draw.randint(0, len(other)) :]


def _piece(raw: bytes, draw: random.Random) -> tuple[int, int]:
    start = draw.randint(0, len(raw))
    return start, min(len(raw), start + draw.choice((1, 4, 16, 60, 200, 1_000)))


_WAYS = (_flip, _flip, _cut, _remove, _repeat, _overwrite, _insert, _zero, _join)


def shuffled(pieces: Sequence[bytes], others: Sequence[bytes], draw: random.Random) -> bytes:
    """Return whole pieces of a file in another order, some twice, some left out, some foreign."""
    found = list(pieces)
    for _ in range(draw.choice((1, 1, 2))):
        at = draw.randrange(len(found) + 1)
        kind = draw.randrange(4)
        if kind == 0 and found:
            del found[at % len(found)]
        elif kind == 1 and found:
            found.insert(at, draw.choice(found))
        elif kind == 2 and len(found) > 1:
            one = draw.randrange(len(found) - 1)
            found[one], found[one + 1] = found[one + 1], found[one]
        else:
            found.insert(at, draw.choice(others))
    return b"".join(found)
