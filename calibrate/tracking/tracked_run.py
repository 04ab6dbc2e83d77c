"""A run as trackers log it, whatever it was made from."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from clip_cfr.calibrate.core.settings import Value


@dataclass(frozen=True)
class TrackedRun:
    """A run to log, with the runs below it.

    Attributes:
        name: its name, which is unique among the runs beside it.
        parameters: hyperparameters by name.
        tags: where it is from, by name.
        metrics: final values by name, such as `test/inferred-groups/worst_group`.
        curves: values by training step, by name, such as `training/loss`.
        text: Markdown for the reader; may be empty.
        children: the runs below it, such as one for each method and seed.
    """

    name: str
    parameters: Mapping[str, Value] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    curves: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    text: str = ""
    children: tuple["TrackedRun", ...] = ()


def text_values(values: Mapping[str, object]) -> dict[str, str]:
    """Return values as text by name, without those that are None."""
    return {name: str(value) for name, value in values.items() if value is not None}
