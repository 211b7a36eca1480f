"""Recorded data: what was heard, kept byte for byte."""
