"""Searches over settings: what drives the core point by point, with Optuna's studies as memory."""
