"""What may come through the control socket: typed commands and nothing else."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors import CODEC, control
from btcbot.domain import control as ctl
from bus.doorway import FRAME_MAX
from bus.envelope import Envelope


def received(frame: bytes) -> tuple[list[Any], list[Any]]:
    """Return what a frame became: messages, and answers."""
    delivered: list[Any] = []
    answers: list[Any] = []
    take = control.receiver(
        delivered.append,
        lambda _connection, answer: answers.append(msgspec.msgpack.decode(answer)),
    )
    take(1, 1000, frame)
    return delivered, answers


def test_a_command_becomes_a_message_with_the_kernels_word_on_who_asked() -> None:
    delivered, answers = received(msgspec.msgpack.encode({"command": "kill", "reason": "fire"}))

    assert delivered == [ctl.Asked(connection=1, uid=1000, command=ctl.Kill(reason="fire"))]
    assert answers == []


HOSTILE = [
    {"command": "arm"},
    {"command": "kill", "uid": 0},
    {"command": "kill", "reason": "a\nb"},
    {"command": "kill", "reason": "\x1b[2J"},
    {"command": "kill", "reason": "a\u2028b"},
    {"command": "kill", "reason": "x" * 501},
    {"command": "resume"},
    {"command": "pause", "pair": "BTCTRY\n"},
    {"command": "pause", "pair": "../../x"},
    {"command": "pause", "side": "both"},
    {"command": "pause", "until_ns": -1},
    {"command": "pause", "until_ns": 1 << 63},
    {"command": "pause", "until_ns": 1.5},
    {"command": "cancel", "client_order_id": "a b"},
    {"command": "restart", "actor": "x y"},
    [1, 2, 3],
    "status",
    None,
]


@pytest.mark.parametrize("tree", HOSTILE)
def test_what_is_no_command_is_refused_with_a_reason_and_goes_no_further(tree: Any) -> None:
    delivered, answers = received(msgspec.msgpack.encode(tree))

    assert delivered == []
    [found] = answers
    assert found["ok"] is False
    assert found["refused"].startswith("not a command")
    assert len(found["refused"]) < 250


@given(st.binary(max_size=FRAME_MAX))
def test_random_bytes_are_answered_once_and_never_crash(frame: bytes) -> None:
    delivered, answers = received(frame)

    assert len(delivered) + len(answers) == 1


@given(st.integers(1, 2000), st.sampled_from([b"\x91", b"\x81\xa1a"]))
def test_nested_frames_are_refused(depth: int, opening: bytes) -> None:
    _, answers = received(opening * depth + b"\xc0")

    assert len(answers) == 1


text = st.text(max_size=600)


@given(st.fixed_dictionaries({"command": st.sampled_from(["pause", "resume", "kill", "cancel",
                                                          "restart", "status"])},
                             optional={name: text | st.none() | st.integers() for name in
                                       ("pair", "strategy", "side", "reason", "acknowledge",
                                        "client_order_id", "actor", "until_ns")}))  # fmt: skip
def test_whatever_is_accepted_can_be_journaled_and_read_back(tree: dict[str, Any]) -> None:
    try:
        frame = msgspec.msgpack.encode(tree)
    except (OverflowError, UnicodeEncodeError):
        return
    delivered, _ = received(frame)

    for message in delivered:
        envelope = Envelope(1, "self", 1, "", 0, "", 0, 0, message)
        assert CODEC.decode(CODEC.encode(envelope)) == envelope
