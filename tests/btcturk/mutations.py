"""Spoils answers and frames of the exchange: in their structure, in their bytes, or in both."""

import copy
import json
import random
from collections.abc import Callable
from typing import Any

Json = Any
# What no field should be, and what some are: each has broken some parser somewhere.
VALUES: tuple[Json, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64, 10**400, 0.1, -0.0,
    1e22, 1e-30, 1e308, 1e-320, float("nan"), float("inf"), "", "0", "-0", "0.0", "1", "-1", "+1",
    "1.", ".5",
    "1e5", "1E-08", "NaN", "Infinity", "-inf", "0x10", "1_000", "1,5", "1.234,5", " 1", "1 ",
    "٣", "1" * 15, "1" * 16, "1" * 400, "0." + "1" * 16, "0." + "1" * 17, "null", "buy", "Sell",
    "BTCTRY", "x" * 300, "\x00", "\ud800", [], {}, [[]], [[], []], [None], {"a": 1}, ["1", "2"],
    [["1", "2"]], {"id": 1},
)  # fmt: skip
BYTES = (
    b"", b"\x00", b"\xff", b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"-", b"9" * 400, b"e9",
    b".", b"null", b"\\ud800", b"[" * 3_000, b'{"a":' * 500, b"NaN", b"1e999", b"\xef\xbb\xbf",
)  # fmt: skip


class Mutator:
    """One seed, one sequence of spoilt bodies."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self._ways: tuple[Callable[[Json], None], ...] = (
            self._replace,
            self._replace,
            self._remove,
            self._rename,
            self._add,
            self._repeat,
            self._swap,
        )

    def spoil(self, raw: bytes) -> bytes:
        """Return `raw`, JSON, spoilt in one to three places."""
        draw = self.random
        kind = draw.random()
        if kind < 0.7:
            raw = self._spoil_tree(raw)
        if kind > 0.6:
            for _ in range(draw.randint(1, 3)):
                raw = self._spoil_bytes(raw)
        return raw

    def _spoil_tree(self, raw: bytes) -> bytes:
        root = [json.loads(raw)]
        for _ in range(self.random.choice((1, 1, 2, 3))):
            place = self._place(root)
            if place:
                self.random.choice(self._ways)(place)
        text = json.dumps(root[0], ensure_ascii=self.random.random() < 0.5)
        return text.encode("utf-8", "surrogatepass")

    def _place(self, root: list[Json]) -> Json:
        """Return some object or array that is not empty, the root's only part among them."""
        node: Json = root
        while True:
            parts = list(node.values()) if isinstance(node, dict) else node
            inner = [part for part in parts if isinstance(part, dict | list) and part]
            if not inner or self.random.random() < 0.3:
                return node
            node = self.random.choice(inner)

    def _key(self, node: Json) -> Any:
        return self.random.choice(list(node) if isinstance(node, dict) else range(len(node)))

    def _value(self) -> Json:
        return copy.deepcopy(self.random.choice(VALUES))  # What it is put into is spoilt further.

    def _replace(self, node: Json) -> None:
        node[self._key(node)] = self._value()

    def _remove(self, node: Json) -> None:
        if len(node) > 1 or isinstance(node, dict):
            del node[self._key(node)]

    def _rename(self, node: Json) -> None:
        if isinstance(node, dict):
            key = self._key(node)
            node[self.random.choice((key.upper(), key[:-1], f"{key}x", ""))] = node.pop(key)

    def _add(self, node: Json) -> None:
        value = self._value()
        if isinstance(node, dict):
            node[self.random.choice(("novelty", "type", "id", "data"))] = value
        else:
            node.insert(self.random.randint(0, len(node)), value)

    def _repeat(self, node: Json) -> None:
        if isinstance(node, list) and len(node) < 200:
            node.extend(copy.deepcopy(node) * self.random.randint(1, 3))

    def _swap(self, node: Json) -> None:
        one, other = self._key(node), self._key(node)
        node[one], node[other] = copy.deepcopy((node[other], node[one]))

    def _spoil_bytes(self, raw: bytes) -> bytes:
        draw = self.random
        at = draw.randint(0, len(raw))
        cut = at + draw.choice((0, 0, 1, 2, 8, len(raw)))
        junk = draw.choice(BYTES) if draw.random() < 0.7 else draw.randbytes(draw.randint(1, 6))
        return raw[:at] + junk + raw[cut:]
