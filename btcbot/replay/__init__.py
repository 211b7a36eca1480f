"""What an actor's journal says, run through today's code, and every message compared."""
