"""What the market says, folded: books and freshness. Pure."""
