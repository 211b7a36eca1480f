"""The life of an order: transition table, outcomes, reconciliation. Pure."""
