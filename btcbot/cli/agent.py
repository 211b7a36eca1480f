"""`btcbot agent`: the decisions of the agent policy, decided again, and compared with others."""

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import click

from btcbot.agent import prompt as prompts
from btcbot.agent import record
from btcbot.cli import exits
from btcbot.cli.agent_eval import Case, Contest, evaluate
from btcbot.cli.common import Options, common, print_table, stop
from btcbot.cli.ctl_link import Json, history
from btcbot.cli.times import day_span, utc
from btcbot.domain.agent import AgentDecision
from btcbot.domain.money import text
from btcbot.secret import leaks, read_secret
from btcbot.store.queries import FOREVER

COLUMNS: Final = ("decision", "utc", "mode", "outcome", "fault", "limits", "tokens", "cost")


@click.group()
def agent() -> None:
    """Decision records of the agent policy."""


def _day(function: Callable[..., None]) -> Callable[..., None]:
    return click.option("--day", metavar="2026-11-24", help="Only this UTC day.")(function)


@agent.command()
@click.argument("decision", required=False)
@_day
@click.option("--last", default=20, show_default=True, type=click.IntRange(1), help="How many.")
@common
def show(options: Options, *, decision: str | None, day: str | None, last: int) -> None:
    """List the newest decisions, or show one whole: context, prompt, reply, and what followed."""
    if decision is not None:
        found = next((d for d in _decisions(options, day) if d.decision_id == decision), None)
        if found is None:
            stop(exits.NOT_FOUND, f"btcbot: no decision {decision!r}; list them without a name")
        whole = _whole(found)
        options.show(whole, lambda: _print_whole(whole))
        return
    if day is None:
        chosen = [fact.decision for fact in history(options).recent_agent_decisions(last)][::-1]
    else:
        chosen = list(_decisions(options, day))[-last:]
    rows = [_row(each) for each in chosen]
    options.show(
        [dict(zip(COLUMNS, row, strict=True)) for row in rows],
        lambda: print_table(options, COLUMNS, rows),
    )


@agent.command()
@_day
@common
def replay(options: Options, *, day: str | None) -> None:
    """Decide every recorded decision again, without the model. Exit 7: one comes out otherwise."""
    total, wrong = 0, []
    for each in _decisions(options, day):
        total += 1
        if found := record.differences(each):
            shown = {name: [str(was), str(now)] for name, (was, now) in found.items()}
            wrong.append({"decision": each.decision_id, "differences": shown})
    options.show(
        {"decisions": total, "different": wrong},
        lambda: click.echo(f"{total} decisions made again, {len(wrong)} came out otherwise"),
    )
    for one in wrong:
        options.note(f"{one['decision']}: {', '.join(one['differences'])}")
    if wrong:
        stop(exits.PROBLEM)


@agent.command("eval")
@_day
@click.option("--model", help="Another model of the endpoint; else the configured one.")
@click.option("--prompt", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="A file with another prompt; else the built-in one.")  # fmt: skip
@click.option("--url", help="Another endpoint, without a key; else the configured one.")
@click.option("--calls", default=20, show_default=True, type=click.IntRange(1, 1_000),
              help="Questions asked at most, the newest.")  # fmt: skip
@common
def eval_(
    options: Options,
    *,
    day: str | None,
    model: str | None,
    prompt: Path | None,
    url: str | None,
    calls: int,
) -> None:
    """Put recorded questions to another prompt or model; compare what would have been let pass.

    It asks the endpoint for real, one question after another, and shows what that cost. The market
    does not react to another answer, so this compares limits, not profit.
    """
    config = options.load().config.agent
    if not (url or config.url) or not (model or config.model):
        stop(exits.CONFIG, "btcbot: nobody to ask: set agent.url and agent.model, or give them")
    text_of = prompts.PROMPT if prompt is None else prompt.read_text(encoding="utf-8")
    if len(text_of.encode()) > prompts.PROMPT_MAX:
        stop(exits.USAGE, f"btcbot: --prompt {prompt}: allowed are {prompts.PROMPT_MAX} bytes")
    key = read_secret(config.key_file) if config.key_file and url is None else None
    contest = Contest(
        url=url or config.url,
        key=None if key is None else key.reveal(),
        model=model or config.model,
        prompt=text_of,
        timeout_ns=config.timeout_s * 10**9,
        money_per_mtok_in=config.money_per_mtok_in,
        money_per_mtok_out=config.money_per_mtok_out,
        leaks=leaks,
        now_ns=time.time_ns,
    )
    chosen = list(_decisions(options, day))[-calls:]
    cases = asyncio.run(evaluate(contest, chosen))
    found = _compared(contest, cases)
    options.show(found, lambda: _print_compared(options, found))


def _compared(contest: Contest, cases: list[Case]) -> Json:
    answered = [case for case in cases if case.is_advice]
    pairs = sum(case.pairs for case in answered)
    return {
        "model": contest.model,
        "asked": len(cases),
        "advised": len(answered),
        "outcomes": sorted({case.outcome for case in cases}),
        "pairs": pairs,
        "pairs_same": sum(case.same for case in answered),
        "keep_percent_recorded": _mean(sum(case.keep_before for case in answered), pairs),
        "keep_percent_now": _mean(sum(case.keep_now for case in answered), pairs),
        "tokens": sum(case.tokens for case in cases),
        "cost": text(sum((case.cost for case in cases), start=contest.money_per_mtok_in * 0)),
        "cases": [
            {"decision": case.decision_id, "outcome": case.outcome, "same": case.same,
             "pairs": case.pairs}
            for case in cases
        ],
    }  # fmt: skip


def _mean(total: int, count: int) -> float | None:
    return round(total / count, 1) if count else None


def _print_compared(options: Options, found: Json) -> None:
    names = [name for name in found if name not in ("cases", "outcomes")]
    print_table(options, ("figure", "value"), [(name, found[name]) for name in names])


def _decisions(options: Options, day: str | None) -> Iterator[AgentDecision]:
    since_ns, until_ns = (0, FOREVER) if day is None else day_span("--day", day)
    for fact in history(options).agent_decisions(since_ns, until_ns):
        yield fact.decision


def _row(each: AgentDecision) -> tuple[str | int | None, ...]:
    limits = " ".join(f"{one.pair}:{one.keep_percent}%({one.reason})" for one in each.guarded)
    return (
        each.decision_id,
        utc(each.answered_ns),
        each.mode.value,
        each.outcome.value,
        None if each.fault is None else each.fault.value,
        limits,
        each.tokens_in + each.tokens_out,
        text(each.cost),
    )


def _whole(each: AgentDecision) -> Json:
    import msgspec

    found: Json = msgspec.to_builtins(each)
    return found


def _print_whole(whole: Json) -> None:
    for name, value in whole.items():
        # What a model wrote may steer a terminal: only its plain form is shown.
        shown = ascii(value) if name == "raw" else value
        click.echo(f"{name}: {shown}")
