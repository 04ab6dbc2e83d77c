"""Hyperparameter search: fit many settings on one cache, with Optuna storing the points."""
