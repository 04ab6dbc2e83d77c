"""The methods, one module each with its declaration `METHOD` and `fit(experiment)`.

A module may also have `check(task, settings, resident_rows)`, which raises if the method cannot be
fitted. To add a method, add its module here and its line to `METHOD_TITLES`. The module of
`a-method` is `a_method`. Modules are imported when they are used, so that help texts need no JAX.
"""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clip_cfr.calibrate.core.experiment import Experiment
    from clip_cfr.calibrate.methods.fitted import Fitted
    from clip_cfr.calibrate.methods.method import Method

# The name of each method that needs a cache alone, and its title in tables.
METHOD_TITLES = {
    "zeroshot": "zero-shot",
    "erm": "ERM",
    "cfr": "CFR",
    "dfr": "DFR",
    "cfr-no-contrast": "CFR without contrast",
    "cfr-no-holistic": "CFR without holistic",
    "error-set": "error set",
    "jtt": "JTT",
    "group-dro": "group DRO",
    "cnc": "CnC",
    "erm-adapter": "ERM adapter",
    "contrastive-adapter": "contrastive adapter",
    "linear-probe": "linear probe",
    "linear-probe-embeddings": "linear probe of embeddings",
    "group-lr": "group-reweighted LR",
    "wise-ft": "WiSE-FT",
    "afr": "AFR",
}
METHODS = tuple(METHOD_TITLES)
# Fitted by `calibrate` if none is named.
DEFAULT_METHODS = ("zeroshot", "erm", "cfr")
# Methods that need attributes named in words, with their titles.
NAMED_METHOD_TITLES = {
    "dfr-named": "DFR, named groups",
    "group-dro-named": "group DRO, named groups",
    "group-lr-named": "group-reweighted LR, named groups",
}
NAMED_METHODS = tuple(NAMED_METHOD_TITLES)
ALL_METHODS = (*METHODS, *NAMED_METHODS)
METHOD_TITLES |= NAMED_METHOD_TITLES


def methods_of(has_named: bool) -> tuple[str, ...]:
    """Return the methods of `--method all`; those on groups in words only if some are named."""
    return ALL_METHODS if has_named else METHODS


def load_module(name: str) -> ModuleType:
    """Import the module of a method; its name has underscores for the method's hyphens."""
    return import_module(f"clip_cfr.calibrate.methods.{name.replace('-', '_')}")


def load_method(name: str) -> "Method":
    """Return the declaration of a method; import its module."""
    return load_module(name).METHOD


def fit(method: str, experiment: "Experiment") -> "Fitted":
    """Fit a method to an experiment.

    Args:
        method: one of `ALL_METHODS`.

    Raises:
        CalibrationError: the method cannot be fitted; the message says what to change.
        MemoryError: training does not fit in device memory.
    """
    return load_module(method).fit(experiment)
