"""What a run folder keeps of a comparison, as plain dictionaries and arrays."""

from importlib.metadata import version
from platform import python_version

import numpy as np

from clip_cfr.calibrate.comparison.compare import Outcome, Outcomes

LIBRARIES = ("jax", "numpy", "optax", "scikit-learn")


def each_run(outcomes: Outcomes) -> dict[str, Outcome]:
    """The outcomes by name: method and seed."""
    return {
        f"{name}-seed{outcome.experiment.seed}": outcome
        for name, done in outcomes.items()
        for outcome in done
    }


def heads(outcomes: Outcomes, selection: str) -> dict[str, dict[str, np.ndarray]]:
    """The selected classifiers as arrays, for features as they stand in the cache."""
    return {
        name: outcome.fitted.classifiers[selection].arrays(outcome.experiment)
        for name, outcome in each_run(outcomes).items()
    }


def histories(outcomes: Outcomes) -> dict[str, dict[str, np.ndarray]]:
    """The logs of the methods that train, a column each value."""
    runs = each_run(outcomes).items()
    return {name: run.fitted.history for name, run in runs if run.fitted.history}


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that the numbers depend on."""
    return {"python": python_version(), **{name: version(name) for name in LIBRARIES}}
