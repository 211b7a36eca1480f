"""Everything that knows BTCTurk's REST and WebSocket."""
