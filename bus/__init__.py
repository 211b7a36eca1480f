"""Carries messages between actors. Knows no trading: a message is a tagged struct."""
