"""Extraction on Ray. Connect with `cluster` first: the other modules import ray."""
