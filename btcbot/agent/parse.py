"""From a model's reply to advice, or to the one word that says why it is none. Never raises.

Whoever wrote the reply is hostile until it is parsed: sizes are bounded, unknown fields, words,
pairs and numbers are refused, and so is what says two things at once.
"""

import json
from collections.abc import Container
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from btcbot.agent.contracts import PAIRS_MAX, TTL_MAX_S, TTL_MIN_S
from btcbot.domain.agent import Advice, AnswerFault, BuyLimit, LimitReason, Percent
from btcbot.domain.ids import Pair

ANSWER_MAX = 4_096  # Characters of the answer within the reply.
TOKENS_BELIEVED_MAX = 1_000_000_000


class _Message(Struct):
    content: str


class _Choice(Struct):
    message: _Message
    finish_reason: str | None = None


class _Completion(Struct):
    """A reply of `chat/completions`; what else servers put there is not looked at."""

    choices: tuple[_Choice, ...]


class _Usage(Struct):
    prompt_tokens: Annotated[int, Meta(ge=0, le=TOKENS_BELIEVED_MAX)]
    completion_tokens: Annotated[int, Meta(ge=0, le=TOKENS_BELIEVED_MAX)]


class _Used(Struct):
    usage: _Usage


class _Limit(Struct, forbid_unknown_fields=True):
    pair: Annotated[str, Meta(min_length=5, max_length=16)]
    action: Literal["shrink", "drop"]
    keep_percent: Percent


class _Answer(Struct, forbid_unknown_fields=True):
    """The grammar; see the prompt."""

    stance: Literal["proceed", "observe"]
    ttl_s: Annotated[int, Meta(ge=TTL_MIN_S, le=TTL_MAX_S)]
    confidence: Percent
    limits: Annotated[tuple[_Limit, ...], Meta(max_length=PAIRS_MAX)]


class _TwiceError(ValueError):
    """A key stands twice in one object."""


_completion = msgspec.json.Decoder(_Completion).decode
_used = msgspec.json.Decoder(_Used).decode
_answer = msgspec.json.Decoder(_Answer).decode
# What parsers raise for bytes that somebody made up; deep nesting ends in a RecursionError.
_NO_JSON = (msgspec.MsgspecError, ValueError, RecursionError)


def tokens_of(raw: str) -> tuple[int, int] | None:
    """Return the tokens that the reply says were read and written; None: it does not say."""
    try:
        usage = _used(raw).usage
    except _NO_JSON:
        return None
    return usage.prompt_tokens, usage.completion_tokens


def advice_of(raw: str, pairs: Container[Pair]) -> Advice | AnswerFault:
    """Return the advice in the body `raw`, for a question about `pairs`, or what is wrong."""
    try:
        choices = _completion(raw).choices
    except _NO_JSON:
        return AnswerFault.NOT_A_COMPLETION
    if len(choices) != 1:
        return AnswerFault.NOT_A_COMPLETION
    if choices[0].finish_reason not in (None, "stop"):
        return AnswerFault.CUT_OFF
    return _parsed(choices[0].message.content, pairs)


def _parsed(said: str, pairs: Container[Pair]) -> Advice | AnswerFault:
    if len(said) > ANSWER_MAX:
        return AnswerFault.TOO_LONG
    try:
        json.loads(said, object_pairs_hook=_once, parse_constant=_no_constant)
        answer = _answer(said)
    except _TwiceError:
        return AnswerFault.DUPLICATE_KEY
    except msgspec.ValidationError:
        return AnswerFault.WRONG_SHAPE
    except _NO_JSON:
        return AnswerFault.NOT_JSON
    return _fault(answer, pairs) or _advice(answer)


def _once(items: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object. Raises when a key stands twice: parsers disagree about what it means."""
    found = dict(items)
    if len(found) < len(items):
        raise _TwiceError
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _fault(answer: _Answer, pairs: Container[Pair]) -> AnswerFault | None:
    named = [limit.pair for limit in answer.limits]
    if any(Pair(name) not in pairs for name in named):
        return AnswerFault.UNKNOWN_PAIR
    if len(set(named)) < len(named):
        return AnswerFault.PAIR_TWICE
    is_plain = all(
        limit.keep_percent == 0 if limit.action == "drop" else 0 < limit.keep_percent < 100
        for limit in answer.limits
    )
    if not is_plain or (answer.stance == "observe" and named):
        return AnswerFault.CONTRADICTION
    return None


def _advice(answer: _Answer) -> Advice:
    return Advice(
        is_observing=answer.stance == "observe",
        ttl_s=answer.ttl_s,
        confidence=answer.confidence,
        limits=tuple(
            BuyLimit(Pair(limit.pair), limit.keep_percent, LimitReason.MODEL)
            for limit in answer.limits
        ),
    )
