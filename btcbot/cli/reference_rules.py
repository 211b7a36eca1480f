"""The reference of refusals, made from the code: docs/reference/risk-rules.md.

What a reason means is the comment beside it, what judges it is read from the functions that say it,
and its limit is the key of [risk] with the default of today.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from typing import Any

from btcbot.cli.reference import field_comments_of
from btcbot.domain.words import Anomaly, Concern, RiskMode, Rule
from btcbot.layers import toml_text
from btcbot.orders import accept, commands
from btcbot.risk.buying import BUY_RULES
from btcbot.risk.limits import RiskLimits
from btcbot.risk.rules import RULES

ALL_RULES: tuple[Callable[..., Any], ...] = (*RULES, *BUY_RULES)
OF_ACCEPT = inspect.getsource(accept) + inspect.getsource(commands)
# Said by functions that read a limit for another reason.
WITHOUT_LIMIT = (Rule.ACCOUNT_UNKNOWN, Rule.DUPLICATE_SLOT, Rule.NOT_ENOUGH_BASE)
HEAD = """\
# Why an order is refused

Made from the code by `scripts/docs.py`; do not edit. What the modes mean, in plain words:
[Risk](../explanation/risk.md).

Every refusal has one reason of this list: in `btcbot export intents`, in the log, in the counts of
`btcbot-ctl status`. risk_gate goes rule by rule and the first refusal speaks; execution judges
again, by what it knows itself, in the moment of sending. *Sells too* says whether a sell can
be refused for it. A limit is a key of `[risk]`, with its default.

| reason | meaning | judged by | sells too | limit |
| --- | --- | --- | --- | --- |
"""


def markdown() -> str:
    """Return docs/reference/risk-rules.md."""
    meaning = field_comments_of(Rule)
    rows = [
        f"| `{rule}` | {meaning[rule.name]} | {_judges(rule)} | {_sells(rule)} | {_limits(rule)} |"
        for rule in Rule
    ]
    words = [*_words("Risk mode", RiskMode), *_words("Why the mode is not NORMAL", Concern)]
    words += _words("What is wrong just now", Anomaly)
    return HEAD + "\n".join([*rows, *words]) + "\n"


def _words(title: str, words: type[StrEnum]) -> Iterator[str]:
    yield from ("", f"## {title}", "", "| word | meaning |", "| --- | --- |")
    meaning = field_comments_of(words)
    for word in words:
        yield f"| `{word}` | {meaning[word.name]} |"


def _says(functions: Iterable[Callable[..., Any]], rule: Rule) -> Iterator[str]:
    """Yield the source of each function that names `rule`."""
    for function in functions:
        source = inspect.getsource(function)
        if re.search(rf"\bRule\.{rule.name}\b", source):
            yield source


def _judges(rule: Rule) -> str:
    is_mode = rule in (Rule.OVERRIDE, Rule.DEGRADED)
    gate = ["risk_gate"] if is_mode or any(_says(ALL_RULES, rule)) else []
    execution = ["execution"] if re.search(rf"\bRule\.{rule.name}\b", OF_ACCEPT) else []
    return ", ".join(gate + execution)


def _sells(rule: Rule) -> str:
    if rule is Rule.DEGRADED:
        return "in OBSERVE"
    is_of_all = any(_says(RULES, rule)) or rule is Rule.OVERRIDE or "risk_gate" not in _judges(rule)
    return "yes" if is_of_all else "no"


def _limits(rule: Rule) -> str:
    """Return the keys that the functions for `rule` read, with their defaults."""
    if rule in WITHOUT_LIMIT:
        return ""
    names = {
        name
        for source in _says(ALL_RULES, rule)
        for name in RiskLimits.__struct_fields__
        if re.search(rf"\b{name}\b", source)
    }
    default = RiskLimits()
    return ", ".join(f"`{n}` = {toml_text(getattr(default, n))}" for n in sorted(names))
