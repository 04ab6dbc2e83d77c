"""The methods, one module each with `fit(experiment) -> Fitted`.

To add a method, add its module here and its line to `GROUP_LABELS`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clip_cfr.calibrate.core.experiment import Experiment
    from clip_cfr.calibrate.methods.fitted import Fitted

# By method, the split whose group labels it uses, or "none".
GROUP_LABELS = {"zeroshot": "none", "erm": "none", "cfr": "none", "dfr": "val"}
METHODS = tuple(GROUP_LABELS)


def fit(method: str, experiment: "Experiment") -> "Fitted":
    """Fit a method to an experiment.

    Raises:
        CalibrationError: the method cannot be fitted; the message says what to change.
    """
    return import_module(f"clip_cfr.calibrate.methods.{method}").fit(experiment)
