"""Whether the validation split shares the correlations of the training split.

A head that follows a spurious feature is wrong about the rows where the feature misleads. If the
validation split was drawn from the same images as the training split, these rows are as rare there,
and a repair of them hardly moves accuracy.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.special import bdtrc

from clip_cfr.calibrate.comparison.compare import Outcome
from clip_cfr.calibrate.comparison.titles import format_per_cent
from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.settings import WORST_NAMED_GROUP
from clip_cfr.calibrate.core.stage_spec import IDENTIFICATION_STAGE

# Validation errors differ from training errors if so many are less probable than this.
LEVEL = 0.01


def describe_shared_val(outcomes: Mapping[str, Sequence[Outcome]]) -> str | None:
    """Return a warning if the identification head errs on val as rarely as on train, or None.

    The head of the first seed is tested. None if no method trained this head, and if
    selection uses groups, labelled or named in words.
    """
    trained = [
        found[0].experiment
        for found in outcomes.values()
        if found[0].experiment.shared[IDENTIFICATION_STAGE].trained is not None
    ]
    if not trained or trained[0].settings.selection in ("worst-group", WORST_NAMED_GROUP):
        return None
    train, val = measure_errors(trained[0])
    if val.sum() and is_rarer(train, val):
        return None
    return (
        f"val looks like train: the identification head is wrong about "
        f"{format_per_cent(val.mean())} % of val and {format_per_cent(train.mean())} % of train. "
        "Where class and attribute are correlated in train, they then are in val, and worst-class "
        "and average accuracy on val cannot see the repair. "
        f"{describe_remedies(trained[0])}"
    )


def describe_remedies(experiment: Experiment) -> str:
    """Return a sentence with the remedies that a run does not use yet, without a final period."""
    label = "label the attribute of some validation images"
    if experiment.task.named:
        return f"Select with --selection {WORST_NAMED_GROUP}, or {label}"
    used = experiment.settings.selection == "inferred-groups"
    return (
        ("N" if used else "Select with --selection inferred-groups, n")
        + "ame the attribute in words with --attribute (the command explain says what "
        f"misclassified images have in common), or {label}"
    )


def measure_errors(experiment: Experiment) -> tuple[np.ndarray, np.ndarray]:
    """Return where the identification head is wrong in train and in val, two bool arrays."""
    task = experiment.task
    predicted = experiment.train_logits("identification").argmax(axis=1)
    rows = task.rows("val")
    on_val = experiment.logits(experiment.identification_head, rows).argmax(axis=1)
    return predicted != task.labels[task.rows("train")], on_val != task.labels[rows]


def is_rarer(train: np.ndarray, val: np.ndarray) -> bool:
    """Return whether errors are rarer in train than in val, beyond noise.

    Args:
        train, val: whether each row is an error.
    """
    rate = (train.sum() + 0.5) / (len(train) + 1)
    return bool(bdtrc(val.sum() - 1, len(val), rate) < LEVEL)
