"""One file each: decide(state, market) -> state, wants. Pure."""
