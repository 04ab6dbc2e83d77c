"""Group DRO on groups of the training split that are named in words instead of labelled."""

from dataclasses import replace

from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.core.task import Task
from clip_cfr.calibrate.methods import group_dro
from clip_cfr.calibrate.methods.fitted import Fitted
from clip_cfr.calibrate.methods.method import Method
from clip_cfr.calibrate.methods.named import check_named, named_grouping

METHOD = Method(
    group_labels="named in words",
    named_split="train",
    stage=replace(group_dro.METHOD.stage, name="group-dro-named", stream=11),
    settings=group_dro.METHOD.settings,
    search=group_dro.METHOD.search,
)


def check(task: Task, settings: Settings, resident_rows: int | None) -> None:
    """Raise CalibrationError if no attribute is named in words, or no training row has a value."""
    check_named(task, METHOD.stage.name, METHOD.named_split)


def fit(experiment: Experiment) -> Fitted:
    """Fit the heads of the stage, which starts from CLIP's own; rows without a value are left out.

    Raises:
        CalibrationError: the stage diverged, or no attribute is named in words.
    """
    grouping = named_grouping(experiment.task, METHOD.stage.name, METHOD.named_split)
    return group_dro.fit_groups(experiment, METHOD.stage, grouping.indices, len(grouping.names))
