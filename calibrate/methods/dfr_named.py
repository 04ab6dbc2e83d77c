"""DFR on groups of the validation split that are named in words instead of labelled."""

from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.core.task import Task
from clip_cfr.calibrate.methods import dfr
from clip_cfr.calibrate.methods.fitted import Fitted
from clip_cfr.calibrate.methods.method import Method
from clip_cfr.calibrate.methods.named import named_grouping

NAME = "dfr-named"
METHOD = Method(
    group_labels="named in words",
    named_split="val",
    stream=10,
    settings=dfr.METHOD.settings,
    chooses_on_val=True,
)


def check(task: Task, settings: Settings, resident_rows: int | None) -> None:
    """Raise CalibrationError if no attribute is named, or there are too few validation rows."""
    grouping = named_grouping(task, NAME, METHOD.named_split)
    rows = task.rows("val")
    rows = rows[grouping.indices[rows] >= 0]
    labels, groups = task.labels[rows], grouping.indices[rows]
    dfr.check_rows(NAME, labels, groups, grouping.names, dfr.WITHOUT_DFR)


def fit(experiment: Experiment) -> Fitted:
    """Fit the classifier, averaged over balanced subsamples; rows without a value are left out.

    Raises:
        CalibrationError: as in `check`.
    """
    check(experiment.task, experiment.settings, experiment.prepared.resident_rows)
    grouping = named_grouping(experiment.task, NAME, METHOD.named_split)
    rows = experiment.task.rows("val")
    rows = rows[grouping.indices[rows] >= 0]
    groups = grouping.indices[rows]
    return dfr.fit_groups(experiment, METHOD.stream, rows, groups, len(grouping.names))
