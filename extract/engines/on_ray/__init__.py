"""Runs an extraction on Ray; `cluster` comes first, the other modules import ray at once."""
