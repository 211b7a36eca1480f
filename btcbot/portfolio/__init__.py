"""What to trade and how much: universe, features, allocation, plan. Pure."""
