"""The calibration set: the training rows that a head gets wrong."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Int32

from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.settings import Settings


@dataclass(frozen=True)
class CalibrationSet:
    """Rows to recalibrate on; `fallback` says that too few were wrong and near misses fill up."""

    rows: Int32[np.ndarray, " size"]
    fallback: bool = False


def margins(
    logits: Float[np.ndarray, "rows classes"], labels: Int[np.ndarray, " rows"]
) -> Float[np.ndarray, " rows"]:
    """Logit of the label less that of the best other class; wrong if below 0.

    Of logits, for probabilities round to 0 and 1 at CLIP's scale of 100, and would all tie.
    """
    own = np.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
    others = logits.copy()
    np.put_along_axis(others, labels[:, None], -np.inf, axis=1)
    return own - others.max(axis=1)


def calibration_set(
    rng: np.random.Generator,
    logits: Float[np.ndarray, "rows classes"],
    labels: Int[np.ndarray, " rows"],
    rows: Int[np.ndarray, " rows"],
    settings: Settings,
    class_names: tuple[str, ...],
) -> CalibrationSet:
    """The rows whose prediction is wrong, or what the settings make of them.

    Args:
        rng: draws the subset, where `calibration_size` asks for a random one.
        logits: of the source head, for the training rows.
        labels: of the training rows.
        rows: their numbers in the cache.

    Raises:
        CalibrationError: fewer than `calibration_minimum` rows are wrong, and no fallback is set;
            or `calibration_size` leaves fewer.
    """
    wrong = np.flatnonzero(logits.argmax(axis=1) != labels)
    if len(wrong) >= settings.calibration_minimum:
        chosen = subset(rng, wrong, margins(logits, labels), settings)
        if len(chosen) < settings.calibration_minimum:
            raise CalibrationError(
                f"--calibration-size {settings.calibration_size:g} takes {len(chosen)} of the "
                f"{len(wrong)} rows that the {settings.calibration_source} head gets wrong, "
                f"expected at least {settings.calibration_minimum}: take more, or lower "
                "--calibration-minimum"
            )
        return CalibrationSet(rows[np.sort(chosen)])
    if settings.calibration_fallback == "none":
        raise CalibrationError(too_few(labels[wrong], settings, class_names))
    nearest = np.argsort(margins(logits, labels), kind="stable")
    return CalibrationSet(rows[np.sort(nearest[: fallback_size(settings)])], fallback=True)


def subset(
    rng: np.random.Generator,
    wrong: Int[np.ndarray, " wrong"],
    all_margins: Float[np.ndarray, " rows"],
    settings: Settings,
) -> Int[np.ndarray, " size"]:
    """As many of the wrong rows as `calibration_size` asks for."""
    size = settings.calibration_size
    if size is None:
        return wrong
    count = min(len(wrong), max(1, round(size * len(wrong)) if size <= 1 else int(size)))
    if settings.calibration_subset == "confident":
        return wrong[np.argsort(all_margins[wrong], kind="stable")[:count]]
    return rng.permutation(wrong)[:count]


def fallback_size(settings: Settings) -> int:
    """Rows of the fallback: `calibration_size` where it is a number, else one batch of anchors."""
    size = settings.calibration_size
    return settings.calibration_batch_size if size is None or size <= 1 else int(size)


def too_few(
    wrong_labels: Int[np.ndarray, " wrong"], settings: Settings, class_names: tuple[str, ...]
) -> str:
    """What to say of a calibration set that is too small."""
    counts = np.bincount(wrong_labels, minlength=len(class_names))
    each = ", ".join(f"{name} {count}" for name, count in zip(class_names, counts, strict=True))
    remedies = {
        "erm": "train ERM less (--erm-steps, --erm-lr), take another head's errors "
        "(--calibration-source zeroshot), ",
        "zeroshot": "take another head's errors (--calibration-source erm), ",
    }[settings.calibration_source]
    return (
        f"the {settings.calibration_source} head gets {len(wrong_labels)} training rows wrong "
        f"({each}), expected at least {settings.calibration_minimum} for a calibration set: "
        f"{remedies}or the rows it is least sure of (--calibration-fallback margin)"
    )
