"""btcbot's own performance figures, as ratios to yardsticks run beside them."""
