"""The agent policy: a model or fixed rules that may make the bot buy less, and nothing else."""
