"""A backtest of a strategy that btcbot does not have."""

from typing import Any

from actors import strategy
from btcbot.backtest import Plan, Stage
from bus.actor import Actor


class Hosting(Stage):
    """A stage whose strategy actor hosts `hosted`; None: the one that the plan names."""

    def __init__(self, plan: Plan, start_ns: int, hosted: Any = None) -> None:
        self.hosted = hosted
        super().__init__(plan, start_ns)

    def actor(self, name: str) -> Actor[Any]:
        if name != "strategy" or self.hosted is None:
            return super().actor(name)
        setup = strategy.Setup(
            name=self.plan.strategy, params=self.plan.params, interval_ns=self.plan.interval_ns
        )
        rates = {self.plan.pair: self.plan.fees[self.plan.instrument.quote]}
        return strategy.actor(setup, rates, self.hosted)
