"""What the market says, folded: books, trades, candles, freshness. Pure."""
