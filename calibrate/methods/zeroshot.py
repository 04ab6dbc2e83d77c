"""Zero-shot classification: CLIP as it is."""

from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.core.task import Task
from clip_cfr.calibrate.methods.classifiers import HeadClassifier
from clip_cfr.calibrate.methods.fitted import Fitted, fitted_once


def check(task: Task, settings: Settings, resident_rows: int | None) -> None:
    """Do nothing: every task is accepted, because nothing is trained."""


def fit(experiment: Experiment) -> Fitted:
    """Return CLIP's own head with its own logit scale, for every criterion; nothing is trained."""
    return fitted_once(HeadClassifier(experiment.zeroshot_head()))
