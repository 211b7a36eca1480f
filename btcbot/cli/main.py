"""`btcbot`: everything but talking to a running fleet, which is `btcbot-ctl`."""

from typing import Any

import click

from btcbot.cli.common import LazyGroup, common, run

COMMANDS = {
    "account": ("btcbot.cli.account", "Which account the journal belongs to."),
    "actor": ("btcbot.cli.actor", "Run one actor: what supervisord calls."),
    "agent": ("btcbot.cli.agent:agent", "Decision records of the agent policy."),
    "backtest": ("btcbot.cli.backtest", "Run the same actors over recorded or made-up data."),
    "backup": ("btcbot.cli.backup", "Copies of the database, proven and restored."),
    "bench": ("btcbot.cli.bench", "Measure this machine against btcbot's own figures."),
    "check": ("btcbot.cli.check", "Look at everything a start needs, with evidence."),
    "config": ("btcbot.cli.config", "Show, check and compare the configuration."),
    "data": ("btcbot.cli.data", "Keep recorded markets: fetch, import, list, verify."),
    "down": ("btcbot.cli.down", "Stop the fleet and wait until nothing is left of it."),
    "export": ("btcbot.cli.export", "Export fills, orders, intents, decisions, changes or events."),
    "init": ("btcbot.cli.init", "Write a commented btcbot.toml and make the folders."),
    "ledger": ("btcbot.cli.ledger", "The books: balances, differences, lots, profit, tax."),
    "parity": ("btcbot.cli.parity", "Compare two runs, to the last unit and nanosecond."),
    "record": ("btcbot.cli.record", "Keep what the exchange says in public; trade nothing."),
    "replay": ("btcbot.cli.replay", "Run a recorded day through today's code, and compare."),
    "report": ("btcbot.cli.report", "Tell what a run did: a page, tables, JSON."),
    "sandbox": ("btcbot.cli.sandbox", "Run an exchange on this machine: no money, no network."),
    "sim": ("btcbot.cli.sim", "Run the fleet against a failing world, from a seed."),
    "strategy": ("btcbot.cli.strategy", "List, begin and check strategies."),
    "up": ("btcbot.cli.up", "Start the fleet under supervisord."),
    "version": ("btcbot.cli.version", "Print the versions."),
}


@click.group(
    cls=LazyGroup, modules=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]}
)
@common
def group(**_options: Any) -> None:  # noqa: ANN401 (kept in the context)
    """Trade spot on BTCTurk: never sends twice, never forgets, never guesses."""


def main() -> None:
    run(group, "btcbot")


if __name__ == "__main__":
    main()
