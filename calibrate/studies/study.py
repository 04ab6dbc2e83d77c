"""Declaration of a study: its points, its budget and its answer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from clip_cfr.calibrate.core.settings import Settings, Value
from clip_cfr.calibrate.studies.data import Measured, StudyData
from clip_cfr.calibrate.studies.val_rows import OWN_VAL


@dataclass(frozen=True)
class Point:
    """What a study fits with every seed.

    Attributes:
        label: name in sentences, tables and plots; no other point of the study has it.
        method: the method to fit.
        changes: the settings that differ from those of the study.
        val: the validation rows, `own` or `train-correlation`; the latter needs attributes.
    """

    label: str
    method: str = "cfr"
    changes: Mapping[str, Value] = field(default_factory=dict)
    val: str = OWN_VAL


def keep_points(points: Mapping[str, Measured], selection: str) -> dict[str, Measured]:
    """Return the points as they are: each is a row, whatever the reported criterion."""
    return dict(points)


@dataclass(frozen=True, kw_only=True)
class Study:
    """A study, as its module declares it in `STUDY`.

    Attributes:
        name: its name.
        points: the points to fit on a cache.
        reference: label of the point that the plot compares the others with.
        answer: returns the answer in two sentences from the results on one cache.
        budget: settings that differ from the defaults, so that the study ends within minutes.
        expand: makes the rows of the study from the points that were fitted, by label, and the
            reported criterion; by default each point is a row.
    """

    name: str
    points: tuple[Point, ...]
    reference: str
    answer: Callable[[StudyData], tuple[str, str]]
    budget: Mapping[str, Value]
    expand: Callable[[Mapping[str, Measured], str], dict[str, Measured]] = keep_points

    @property
    def varied(self) -> tuple[str, ...]:
        """The settings that the points change, each once."""
        return tuple(dict.fromkeys(name for each in self.points for name in each.changes))

    def default_settings(self) -> Settings:
        """Return the default settings with the budget."""
        return Settings(**self.budget)
