"""`btcbot-ctl agent`: how the agent policy does, and what may follow from its answers."""

import time
from collections import Counter
from decimal import Decimal
from typing import Final

import click

from btcbot.cli.common import Options, common, print_table
from btcbot.cli.ctl_link import Json, carry_out, history
from btcbot.domain.agent import AgentDecision, AgentOutcome
from btcbot.domain.money import text

DAY_NS: Final = 86_400 * 10**9
MODES: Final = ("shadow", "advise", "off")


@click.group()
def agent() -> None:
    """How the agent policy does, and what may follow from its answers."""


@agent.command()
@common
def status(options: Options) -> None:
    """Show the mode, the newest decision with its age, and what the UTC day has cost."""
    config, books, now_ns = options.load().config, history(options), time.time_ns()
    ordered, newest = books.agent_order(), books.recent_agent_decisions(1)
    since_ns = now_ns - now_ns % DAY_NS
    today = [fact.decision for fact in books.agent_decisions(since_ns)]
    is_off = config.agent.mode == "off"
    mode = config.agent.mode if is_off or ordered is None else ordered[0].mode.value
    found: Json = {
        "mode": mode,
        "mode_set_by": None if ordered is None or is_off else ordered[0].by,
        "mode_set_reason": None if ordered is None or is_off else ordered[0].reason,
        "model": config.agent.model,
        "newest": _newest(newest[0].decision, now_ns) if newest else None,
        "day": _day(today),
        "tokens_per_day_max": config.agent.tokens_per_day_max,
        "money_per_day_max": text(config.agent.money_per_day_max),
    }
    options.show(found, lambda: _print(options, found, config.agent.interval_s))


@agent.command()
@click.argument("mode", type=click.Choice(MODES))
@click.option("--reason", default="", required=True, help="Why: it is kept.")
@common
def mode(options: Options, *, mode: str, reason: str) -> None:
    """Have answers recorded only (shadow), applied (advise), or nobody asked (off).

    It holds from the next plan on and survives every restart. A fleet that was started with
    [agent] mode = "off" has no agent: exit 6.
    """
    request = {"command": "agent_mode", "mode": mode, "reason": reason}
    carry_out(options, request, f"the agent is in {mode}")


def _newest(decision: AgentDecision, now_ns: int) -> Json:
    return {
        "decision_id": decision.decision_id,
        "mode": decision.mode.value,
        "outcome": decision.outcome.value,
        "fault": None if decision.fault is None else decision.fault.value,
        "age_s": round((now_ns - decision.answered_ns) / 1e9, 1),
        "stands_s": round(max(decision.until_ns - now_ns, 0) / 1e9, 1),
        "limits": [[each.pair, each.keep_percent, each.reason] for each in decision.guarded],
    }


def _day(decisions: list[AgentDecision]) -> Json:
    cost = sum((each.cost for each in decisions), Decimal(0))
    return {
        "decisions": len(decisions),
        "outcomes": dict(sorted(Counter(each.outcome.value for each in decisions).items())),
        "tokens": sum(each.tokens_in + each.tokens_out for each in decisions),
        "money": text(cost),
    }


def _print(options: Options, found: Json, interval_s: int) -> None:
    by = f", set by {found['mode_set_by']}" if found["mode_set_by"] else ""
    click.echo(f"mode {found['mode']}{by}; {found['model'] or 'rules alone, no model'}")
    newest, day = found["newest"], found["day"]
    if newest is None:
        click.echo("no decision yet: it is asked when something is planned")
    else:
        stale = "  STALE" if newest["age_s"] > 3 * interval_s else ""
        fault = f" ({newest['fault']})" if newest["fault"] else ""
        click.echo(f"newest: {newest['outcome']}{fault}, {newest['age_s']:.0f} s ago{stale}")
        print_table(options, ("pair", "keep %", "reason"), newest["limits"])
    good = day["outcomes"].get(AgentOutcome.ADVISED.value, 0)
    click.echo(
        f"today (UTC): {day['decisions']} decisions, {good} advised, "
        f"{day['tokens']} of {found['tokens_per_day_max']} tokens, "
        f"{day['money']} of {found['money_per_day_max']} money"
    )
