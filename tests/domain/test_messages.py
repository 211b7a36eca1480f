"""Every message: the same bytes there and back, and no other spelling of anything is believed."""

import random
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import cache
from typing import Any, TypeAlias

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct, inspect

from actors import CODEC
from btcbot.domain.agent import AGENT
from btcbot.domain.checks import check
from btcbot.domain.control import CONTROL
from btcbot.domain.facts import FACTS
from btcbot.domain.feed import FEED
from btcbot.domain.ids import Pair
from btcbot.domain.messages import REQUESTS, STREAMS, BookTop
from btcbot.domain.money import MoneyError, Price, Quantity
from btcbot.domain.venue import VENUE
from bus.actor import SYSTEM
from bus.envelope import FRAME_MAX, WIRE_VERSION, Envelope, Refused

ALL: tuple[type[Struct], ...] = (
    *STREAMS,
    *REQUESTS,
    *FACTS,
    *FEED,
    *VENUE,
    *CONTROL,
    *AGENT,
    *SYSTEM,
)
Tree: TypeAlias = list[Any]
FUZZED, CORPORA = 10_000, 5  # 50,000 frames; the first corpus hypothesis makes is the plainest.
FUZZ_SEED = 20_260_926

whole = st.integers(-(2**63) + 1, 2**63 - 1)
numbers = st.one_of(
    st.decimals("-1e15", "1e15", places=8),
    st.decimals("1e-16", "1", places=16),
    st.sampled_from(["0", "0.00", "1E-8", "-0", "1000000000000000"]).map(Decimal),
)


def of_int(kind: inspect.IntType) -> st.SearchStrategy[Any]:
    least = kind.ge if kind.ge is not None else -(2**63) + 1
    most = kind.le if kind.le is not None else (kind.lt - 1 if kind.lt else 2**63 - 1)
    return st.integers(least, most)


def of_str(kind: inspect.StrType) -> st.SearchStrategy[str]:
    most = kind.max_length or 40
    if kind.pattern is None:
        return st.text(max_size=most)
    return st.from_regex(kind.pattern, fullmatch=True).filter(lambda said: len(said) <= most)


def of_struct(kind: inspect.StructType) -> st.SearchStrategy[Struct]:
    return st.builds(kind.cls, **{field.name: values(field.type) for field in kind.fields})


OF_KIND: dict[type, Callable[[Any], st.SearchStrategy[Any]]] = {
    inspect.IntType: of_int,
    inspect.StrType: of_str,
    inspect.StructType: of_struct,
    inspect.DecimalType: lambda _: numbers,
    inspect.BoolType: lambda _: st.booleans(),
    inspect.BytesType: lambda _: st.binary(max_size=40),
    inspect.NoneType: lambda _: st.none(),
    inspect.EnumType: lambda kind: st.sampled_from(kind.cls),
    inspect.UnionType: lambda kind: st.one_of(*map(values, kind.types)),
    inspect.TupleType: lambda kind: st.tuples(*map(values, kind.item_types)),
    inspect.VarTupleType: lambda kind: st.lists(values(kind.item_type), max_size=3).map(tuple),
}


def values(kind: inspect.Type) -> st.SearchStrategy[Any]:
    """Return a strategy for all that an annotation allows."""
    return OF_KIND[type(kind)](kind)


@cache
def messages(kind: type[Struct]) -> st.SearchStrategy[Struct]:
    return values(inspect.type_info(kind)).filter(is_sane)


def is_sane(message: Struct) -> bool:
    try:
        check(message)
    except MoneyError:
        return False
    return True


def wrapped(message: Struct) -> Envelope[Struct]:
    return Envelope(WIRE_VERSION, "a", 7, "topic", 3, "b/1/t/2", 10**15, 10**15 + 5, message)


any_message = st.sampled_from(ALL).flatmap(messages)


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_every_message_comes_back_from_the_same_bytes(kind: type[Struct], data: Any) -> None:
    message = data.draw(messages(kind))
    frame = CODEC.encode(wrapped(message))

    found = CODEC.decode(frame)

    assert found == wrapped(message)
    assert type(found.message) is kind
    assert CODEC.encode(found) == frame
    bare = CODEC.encode_message(message)
    assert CODEC.decode_message(bare) == message


def test_every_tag_is_spelled_out_and_its_own() -> None:
    tags = [kind.__struct_config__.tag for kind in ALL]
    assert len(set(tags)) == len(tags)
    for kind, tag in zip(ALL, tags, strict=True):
        assert isinstance(tag, str)
        assert tag == tag.lower() != kind.__name__
        assert kind.__struct_config__.forbid_unknown_fields, kind
        assert kind.__struct_config__.frozen, kind


# --- one frame, changed in one way --------------------------------------------------------------

TOP = BookTop(
    pair=Pair("BTCTRY"),
    bid=Price(Decimal(100)),
    bid_quantity=Quantity(Decimal(1)),
    ask=Price(Decimal(101)),
    ask_quantity=Quantity(Decimal(2)),
    changed_ns=1,
    confirmed_ns=2,
)
BID = 2  # Where it stands in the array, after the tag and the pair.
CONFIRMED = 7


def tree_of(message: Struct) -> Tree:
    found: Tree = msgspec.msgpack.decode(CODEC.encode(wrapped(message))[1:])
    return found


def frame_of(tree: Any, kind: bytes = b"\x01") -> bytes:
    return kind + msgspec.msgpack.encode(tree)


def refusal(frame: bytes) -> str:
    """Return why `frame` is refused; fails when it is not, or by any other exception."""
    with pytest.raises(Refused) as refused:
        CODEC.decode(frame)
    assert refused.value.detail
    return refused.value.reason


def with_part(place: int, value: object) -> bytes:
    tree = tree_of(TOP)
    tree[-1][place] = value
    return frame_of(tree)


@pytest.mark.parametrize(
    "said",
    ["NaN", "sNaN", "-sNaN12", "Infinity", "-Infinity", "1e999999", "-1e999999", "1_000", " 1 ",
     "1 ", "+1", "\u0661\u0662\u0663", "\uff11", "", "x", "1,0", "0x1", "0e-999999", "0e999999",
     "1e16", "1e-17", "1" * 60, "0." + "1" * 60, "01", "1.", "1" * 100_000, 5, 5.0, None, True,
     [], {}],
)  # fmt: skip
def test_a_number_that_we_would_not_write_is_refused(said: object) -> None:
    assert refusal(with_part(BID, said)) in ("content", "not_canonical")


@pytest.mark.parametrize("said", [2**63, 2**64 - 1, -(2**63), "1", 1.0, None, True])
def test_a_whole_number_beyond_what_a_database_holds_is_refused(said: object) -> None:
    assert refusal(with_part(CONFIRMED, said)) == "content"


def wholes_in(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Yield where each whole number of a message stands: what holds it, and under which key."""
    rows = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in list(rows):
        if isinstance(value, dict | list):
            yield from wholes_in(value)
        elif type(value) is int:
            yield tree, key


@settings(max_examples=300, deadline=None)
@given(any_message)
def test_no_whole_number_of_any_message_is_beyond_what_a_database_holds(message: Struct) -> None:
    tree = tree_of(message)
    kind = CODEC.encode(wrapped(message))[:1]
    for holder, key in wholes_in(tree[-1]):
        honest, holder[key] = holder[key], 2**63
        assert refusal(frame_of(tree, kind)) == "content"
        holder[key] = honest


@pytest.mark.parametrize(
    "place", range(2, 8), ids=["epoch", "topic", "sequence", "cause", "sent", "deadline"]
)
def test_what_surrounds_a_message_is_bounded_too(place: int) -> None:
    tree = tree_of(TOP)
    tree[place] = -1 if isinstance(tree[place], int) else "x" * 1_000
    assert refusal(frame_of(tree)) == "content"


@settings(max_examples=200, deadline=None)
@given(any_message)
def test_an_unknown_field_is_refused_in_every_message(message: Struct) -> None:
    tree = tree_of(message)
    if isinstance(tree[-1], dict):
        tree[-1]["more"] = 1
        assert refusal(frame_of(tree, b"\x02")) == "content"
    else:
        tree[-1].append(1)
        assert refusal(frame_of(tree)) == "content"
    tree = tree_of(message)
    tree.append(0)
    assert refusal(CODEC.encode(wrapped(message))[:1] + msgspec.msgpack.encode(tree)) == "content"


@settings(max_examples=200, deadline=None)
@given(any_message, st.integers(0, 255).filter(lambda n: n != WIRE_VERSION))
def test_another_schema_version_is_refused_before_any_field_is_read(
    message: Struct, version: int
) -> None:
    tree = tree_of(message)
    tree[0] = version
    assert refusal(CODEC.encode(wrapped(message))[:1] + msgspec.msgpack.encode(tree)) == "version"


@settings(max_examples=200, deadline=None)
@given(any_message, st.text(max_size=20).filter(lambda tag: all(
    tag != kind.__struct_config__.tag for kind in ALL)))  # fmt: skip
def test_an_unknown_tag_is_refused(message: Struct, tag: str) -> None:
    tree = tree_of(message)
    tree[-1]["type" if isinstance(tree[-1], dict) else 0] = tag
    assert refusal(CODEC.encode(wrapped(message))[:1] + msgspec.msgpack.encode(tree)) == "content"


@settings(max_examples=200, deadline=None)
@given(any_message)
def test_a_family_is_not_read_as_the_other(message: Struct) -> None:
    frame = CODEC.encode(wrapped(message))
    assert refusal(bytes([3 - frame[0]]) + frame[1:]) == "content"
    assert refusal(b"\x03" + frame[1:]) == "kind"


def test_bytes_that_are_no_text_are_refused() -> None:
    frame = CODEC.encode(wrapped(TOP))
    assert refusal(frame.replace(b"BTCTRY", b"BTC\xff\xfe\x80")) == "content"
    assert refusal(frame.replace(b"BTCTRY", b"\xed\xa0\x80TRY")) == "content"


@pytest.mark.parametrize("nest", [b"\x91", b"\x81\xa1a", b"\x92\x01"])
def test_deep_nesting_is_refused(nest: bytes) -> None:
    frame = CODEC.encode(wrapped(TOP))
    head = frame[: frame.index(b"\x98\xa8book_top")]
    assert refusal(head + nest * 100_000 + b"\x01") == "content"


def test_a_map_that_says_a_thing_twice_is_refused() -> None:
    nack = SYSTEM[-1](reason="a", detail="b")
    frame = CODEC.encode(wrapped(nack))
    twice = frame.replace(b"\x83\xa4type", b"\x84\xa6reason\xa1z\xa4type")
    assert twice != frame
    assert refusal(twice) == "not_canonical"


def test_size_is_judged_first() -> None:
    assert refusal(b"") == "size"
    assert refusal(b"\x01\x99\x01") == "size"
    assert refusal(b"\x01" + bytes(FRAME_MAX)) == "size"


@pytest.mark.parametrize("kind", [b"\xdd", b"\xdf", b"\xc6"])
def test_a_promised_length_is_not_believed(kind: bytes) -> None:
    length = kind + b"\xff" * 4
    frame = CODEC.encode(wrapped(TOP))
    head = frame[: frame.index(b"\x98\xa8book_top")]
    assert refusal(head + length + b"\x01") == "content"
    assert refusal(b"\x01" + length + b"\x01") in ("content", "version")


def test_a_bare_message_is_held_to_the_same() -> None:
    for bad in (b"", b"\x01", b"\x02\x80", b"\x03\x80", CODEC.encode_message(TOP) + b"\x00"):
        with pytest.raises(Refused):
            CODEC.decode_message(bad)


# --- many frames, changed in any way --------------------------------------------------------------

PIECES = (
    b"\xc0", b"\xc3", b"\x80", b"\xc7\x00\x01", b"\xd6\xff\x00\x00\x00\x00",
    b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00",
    b"\xdd\xff\xff\xff\xff", b"\x91" * 50, b"\xa3NaN", b"\xa4sNaN", b"\xa8Infinity",
    b"\xa51_000", b"\xa81e999999", b"\xa4\xd9\xa1\xd9\xa2",
)  # fmt: skip


def mutated(frame: bytes, chance: random.Random, other: bytes) -> bytes:
    """Return `frame` with one to three changes: bits, bytes, cuts, copies, splices, pieces."""
    raw = bytearray(frame)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(raw) + 1)
        to = chance.randrange(at, min(at + 20, len(raw)) + 1)
        match chance.randrange(7):
            case 0 if at < len(raw):
                raw[at] ^= 1 << chance.randrange(8)
            case 1 if at < len(raw):
                raw[at] = chance.randrange(256)
            case 2:
                del raw[at:to]
            case 3:
                raw[at:at] = raw[at:to]
            case 4:
                raw[at:to] = chance.choice(PIECES)
            case 5:
                raw[at:] = other[chance.randrange(len(other)) :]
            case _:
                raw = raw[:at]
    return bytes(raw)


@st.composite
def corpora(draw: st.DrawFn) -> list[bytes]:
    return [CODEC.encode(wrapped(draw(messages(kind)))) for kind in ALL]


@settings(max_examples=CORPORA, deadline=None, derandomize=True, database=None)
@given(corpora())
def test_no_mutated_frame_does_anything_but_be_refused_or_be_exactly_itself(
    corpus: list[bytes],
) -> None:
    chance = random.Random(FUZZ_SEED)
    refused = 0
    for number in range(FUZZED):
        frame = mutated(chance.choice(corpus), chance, chance.choice(corpus))
        try:
            found = CODEC.decode(frame)
        except Refused:
            refused += 1
        except BaseException as error:  # noqa: BLE001 - this is what must not happen
            pytest.fail(f"seed {FUZZ_SEED}, frame {number}: {error!r} from {frame.hex()}")
        else:
            assert CODEC.encode(found) == frame, f"seed {FUZZ_SEED}, frame {number}: {frame.hex()}"
            check(found.message)
    assert FUZZED // 2 < refused < FUZZED  # Else the fuzz is blind on one side.
