"""Synthetic features with a spurious attribute, whose best worst-group accuracy is known."""
