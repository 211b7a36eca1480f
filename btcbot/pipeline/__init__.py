"""Between a market event and an intent: strategies, plan, policy, guardrails. Pure."""
