"""Whether the validation split shares the correlations of the training split.

A head that follows a spurious feature is wrong about the rows where the feature misleads. If the
validation split was drawn from the same images as the training split, these rows are as rare there,
and a repair of them hardly moves accuracy. Before training this is known if val was drawn from the
images of train; otherwise the errors of the identification head tell it.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import bdtrc

from clip_cfr.calibrate.comparison.compare import Outcome
from clip_cfr.calibrate.comparison.titles import format_per_cent
from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.settings import WORST_NAMED_GROUP
from clip_cfr.calibrate.core.stage_spec import IDENTIFICATION_STAGE

# Validation errors differ from training errors if so many are less probable than this.
LEVEL = 0.01
DRAWN = "val was drawn from the same images as train, and no attribute is known"
DRAWN_TEST = "; so was test, whose accuracies in the table see no more"


def describe_drawn_val(
    info: Mapping[str, Any],
    val_fraction: float | None,
    methods: Collection[str],
    selection: str,
    has_named: bool,
) -> str | None:
    """Return a warning, before training, that no repair can be seen on a drawn val, or None.

    None if val was not drawn, images have several attributes, an attribute is named in words, or
    nothing is selected.

    Args:
        info: summary of the cache, as `read_info` returns it.
        val_fraction: fraction of the training rows that is drawn as val; None if none is.
        methods: the methods to fit.
        selection: the criterion that selects heads.
        has_named: whether attributes are named in words.
    """
    groups = [each for split in info["splits"].values() for each in split["groups"] if each["n"]]
    recorded = info["provenance"].get("drawn_splits", ())
    is_drawn = val_fraction is not None or "val" in recorded
    has_attributes = len({each["attribute"] for each in groups}) > 1
    if not is_drawn or has_attributes or has_named or set(methods) == {"zeroshot"}:
        return None
    cause = f"{DRAWN}{DRAWN_TEST if 'test' in recorded else ''}"
    return describe_blindness(cause, selection, has_named)


def describe_blindness(cause: str, selection: str, has_named: bool) -> str:
    """Return a warning with its cause, its consequence and the remedies, without a final period."""
    part = ", and inferred groups see a part of it" if selection == "inferred-groups" else ""
    return (
        f"{cause}. Where class and attribute are correlated in train, they then are in val, and "
        f"worst-class and average accuracy on val cannot see the repair{part}. "
        f"{describe_remedies(selection, has_named)}"
    )


def describe_shared_val(outcomes: Mapping[str, Sequence[Outcome]]) -> str | None:
    """Return a warning if the identification head errs on val as rarely as on train, or None.

    None if selection uses groups, labelled or named in words.
    """
    experiment = next(iter(outcomes.values()))[0].experiment
    selection, has_named = experiment.settings.selection, bool(experiment.task.named)
    if selection in ("worst-group", WORST_NAMED_GROUP):
        return None
    rates = find_shared_errors(outcomes)
    if rates is None:
        return None
    on_val, on_train = map(format_per_cent, rates)
    cause = (
        f"val looks like train: the identification head is wrong about {on_val} % of val and "
        f"{on_train} % of train"
    )
    return describe_blindness(cause, selection, has_named)


def find_shared_errors(outcomes: Mapping[str, Sequence[Outcome]]) -> tuple[float, float] | None:
    """Return the error rates of the identification head on val and on train if they are alike.

    The head of the first seed is tested. None if it errs more often on val, beyond noise, or if no
    method trained it.
    """
    trained = [
        found[0].experiment
        for found in outcomes.values()
        if found[0].experiment.shared[IDENTIFICATION_STAGE].trained is not None
    ]
    if not trained:
        return None
    train, val = measure_errors(trained[0])
    if val.sum() and is_rarer(train, val):
        return None
    return float(val.mean()), float(train.mean())


def describe_remedies(selection: str, has_named: bool) -> str:
    """Return a sentence with the remedies that a run does not use yet, without a final period."""
    label = "label the attribute of some validation images"
    if has_named:
        return f"Select with --selection {WORST_NAMED_GROUP}, or {label}"
    select = ", select with --selection inferred-groups" if selection != "inferred-groups" else ""
    return (
        "Name the attribute in words with --attribute (the command explain says what misclassified "
        f"images have in common; if they are few, explain --split train){select}, or {label}"
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
