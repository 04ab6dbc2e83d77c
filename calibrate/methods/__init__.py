"""The methods: one module each, with `fit(experiment) -> Fitted`."""

from importlib import import_module

# Which group labels a method uses: "none", or the split whose attributes it sees.
GROUP_LABELS = {"zeroshot": "none", "erm": "none", "cfr": "none", "dfr": "val"}
METHODS = tuple(GROUP_LABELS)


def fit(name: str, experiment):
    """The fitted method of that name."""
    return import_module(f"clip_cfr.calibrate.methods.{name}").fit(experiment)
