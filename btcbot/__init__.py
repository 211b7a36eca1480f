"""btcbot trades spot on BTCTurk: never sends twice, never forgets, never guesses."""
