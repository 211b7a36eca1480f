"""Deterministic simulation: the fleet, the real adapter and a failing world, from one seed."""
