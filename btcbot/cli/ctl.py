"""`btcbot-ctl`: watch and steer a running fleet.

Safer commands (pause, kill, cancel) ask nothing; resume needs a reason. A command is answered only
after execution committed it; `ack_ms` is how long that took from the control socket's side.
"""

from typing import Any

import click

from btcbot.cli.common import LazyGroup, common, run

COMMANDS = {
    "actors": ("btcbot.cli.ctl_actors:actors", "List and restart actors."),
    "agent": ("btcbot.cli.ctl_agent:agent", "How the agent policy does, and what it may do."),
    "balances": ("btcbot.cli.ctl_money:balances", "Show what the account holds."),
    "degrade": ("btcbot.cli.ctl_degrade:degrade", "Show and hold the risk mode."),
    "kill": ("btcbot.cli.ctl_steer:kill", "Stop sending and cancel every order."),
    "limits": ("btcbot.cli.ctl_limits:limits", "Show and tighten the limits."),
    "logs": ("btcbot.cli.ctl_logs:logs", "Show the actors' log lines."),
    "orders": ("btcbot.cli.ctl_orders:orders", "List, show, cancel and resolve orders."),
    "panic": ("btcbot.cli.ctl_panic:panic", "A kill that needs neither control nor execution."),
    "pause": ("btcbot.cli.ctl_steer:pause", "Send no new orders, at once."),
    "pnl": ("btcbot.cli.ctl_money:pnl", "Show the profit and loss of a trading day."),
    "positions": ("btcbot.cli.ctl_money:positions", "Show what our own fills hold."),
    "resume": ("btcbot.cli.ctl_steer:resume", "Trade again; needs a reason."),
    "status": ("btcbot.cli.ctl_status:status", "Show how everything is."),
    "trace": ("btcbot.cli.ctl_orders:trace", "Tell one order's whole story."),
}


@click.group(
    cls=LazyGroup, modules=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]}
)
@common
def group(**_options: Any) -> None:  # noqa: ANN401 (kept in the context)
    """Watch and steer a running fleet."""


def main() -> None:
    run(group, "btcbot-ctl")


if __name__ == "__main__":
    main()
