"""The exchange model: sandbox, paper, backtest and simulation share it."""
