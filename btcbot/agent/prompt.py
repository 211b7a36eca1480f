"""The question: a fixed text, and the context as JSON. Equal contexts are equal bytes."""

import hashlib
from typing import Final

import msgspec

from btcbot.agent.contracts import ANSWER_TOKENS_MAX, Context, PairContext

CONTEXT_MAX: Final = 6_000  # Bytes; pairs are left out from the end until it fits.
PROMPT_MAX: Final = 8_000  # Bytes of a prompt that somebody wants to compare.
PROMPT: Final = """\
You limit the risk of a spot trading bot. You cannot trade, raise a size or stop a sale: you can \
only say that less is bought. You get one JSON object: the quote asset of all amounts, the \
trading state, free cash, what is invested, what the plan at hand might spend, equity (in TRY), \
drawdown in bps, the realized profit of the day, and for each pair its middle price, spread and \
change since the last question in bps, age of the price in ms, what is held at which average \
cost, and what open orders buy and sell. null is what nobody knows now.

Answer with one JSON object and nothing else, exactly of this form:
{"stance": "proceed", "ttl_s": 600, "confidence": 70,
 "limits": [{"pair": "BTCTRY", "action": "shrink", "keep_percent": 50}]}

stance: "proceed", or "observe" to buy nothing at all (limits is then []).
ttl_s: whole seconds that the answer stands, 60 to 3600.
confidence: whole number from 0 to 100; below 50 the answer is ignored.
limits: at most one entry for a pair of the question; pairs that are not named stay as planned.
action: "drop" with keep_percent 0, or "shrink" with keep_percent 1 to 99.
"""

_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder(Context).decode


def context_text(context: Context) -> str:
    """Return the context as JSON; pairs are left out from the end until it fits."""
    pairs: tuple[PairContext, ...] = context.pairs
    while len(said := _encode(context)) > CONTEXT_MAX and pairs:
        pairs = pairs[:-1]
        context = msgspec.structs.replace(context, pairs=pairs)
    return said.decode()


def context_from(said: str) -> Context:
    """Return the context of a record. Raises msgspec.ValidationError."""
    return _decode(said)


def parameters(model: str) -> str:
    """Return what is asked for besides the text, as JSON."""
    return _encode(
        {
            "model": model,
            "max_tokens": ANSWER_TOKENS_MAX,
            "temperature": 0,
            "stream": False,
            "response_format": {"type": "json_object"},
        }
    ).decode()


def body(asked_for: str, prompt: str, context: str) -> bytes:
    """Return the request's body for an OpenAI-compatible `chat/completions`."""
    return _encode(
        {
            **msgspec.json.decode(asked_for),
            "messages": [
                {"role": "system", "content": prompt},
                {"role": "user", "content": context},
            ],
        }
    )


def question_hash(asked_for: str, prompt: str, context: str) -> str:
    """Return a hash over everything that was asked, 32 hex digits."""
    said = msgspec.json.encode([asked_for, prompt, context])
    return hashlib.blake2b(said, digest_size=16).hexdigest()
