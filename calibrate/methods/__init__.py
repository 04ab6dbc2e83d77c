"""The methods, one module each with `check(task, settings, resident_rows)` and `fit(experiment)`.

To add a method, add its module here and its line to `GROUP_LABELS`. The module of `a-method` is
`a_method`.
"""

from collections.abc import Iterable
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clip_cfr.calibrate.core.experiment import Experiment
    from clip_cfr.calibrate.core.settings import Settings
    from clip_cfr.calibrate.core.task import Task
    from clip_cfr.calibrate.methods.fitted import Fitted

# By method, the split whose group labels it uses, or "none".
GROUP_LABELS = {
    "zeroshot": "none",
    "erm": "none",
    "cfr": "none",
    "dfr": "val",
    "cfr-no-contrast": "none",
    "cfr-no-holistic": "none",
    "error-set": "none",
    "jtt": "none",
    "group-dro": "train",
    "cnc": "none",
    "erm-adapter": "none",
    "contrastive-adapter": "none",
    "linear-probe": "none",
    "linear-probe-embeddings": "none",
    "group-lr": "train",
    "wise-ft": "none",
    "afr": "none",
}
METHODS = tuple(GROUP_LABELS)
# The methods that train on the calibration set, which the ERM stage gives.
CALIBRATION_SET_METHODS = ("cfr", "cfr-no-contrast", "cfr-no-holistic", "error-set", "jtt")
# The methods that need the ERM stage.
ERM_METHODS = ("erm", "cnc", "wise-ft", *CALIBRATION_SET_METHODS)


def load_method(name: str) -> ModuleType:
    """Import the module of a method; its name has underscores for the method's hyphens."""
    return import_module(f"clip_cfr.calibrate.methods.{name.replace('-', '_')}")


def check_task(
    task: "Task", settings: "Settings", methods: Iterable[str], resident_rows: int | None = None
) -> None:
    """Raise if it is known before training that one of the methods cannot be fitted.

    Args:
        task: task to train on.
        settings: hyperparameters.
        methods: names of the methods.
        resident_rows: rows in memory at a time; None for all.

    Raises:
        CalibrationError: the task lacks what a method needs.
        SettingsError: a setting does not suit the task or this machine; says what to change.
    """
    for name in methods:
        load_method(name).check(task, settings, resident_rows)


def fit(method: str, experiment: "Experiment") -> "Fitted":
    """Fit a method to an experiment.

    Args:
        method: one of `METHODS`.

    Raises:
        CalibrationError: the method cannot be fitted; the message says what to change.
        MemoryError: training does not fit in device memory.
    """
    return load_method(method).fit(experiment)
