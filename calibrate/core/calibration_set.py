"""The calibration set: training rows that a head misclassifies."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Int32

from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.settings import Settings


@dataclass(frozen=True)
class CalibrationSet:
    """Rows that CFR recalibrates on.

    Attributes:
        rows: row indices in the task, ascending; a row that the training split repeats may occur
            several times.
        fallback: whether too few rows are misclassified, and rows of small margin are used instead.
    """

    rows: Int32[np.ndarray, " size"]
    fallback: bool = False


def select_calibration_set(
    rng: np.random.Generator,
    logits: Float[np.ndarray, "rows classes"],
    labels: Int[np.ndarray, " rows"],
    rows: Int[np.ndarray, " rows"],
    settings: Settings,
    class_names: tuple[str, ...],
) -> CalibrationSet:
    """Select the misclassified rows, or the subset or the fallback that the settings ask for.

    With `calibration_size`, `choose_subset` selects among the misclassified rows. If fewer than
    `calibration_minimum` are misclassified and the fallback is `margin`, the rows of smallest
    margin are selected, misclassified ones first: `fallback_size` of them, or all there are.

    Args:
        rng: draws the subset if `calibration_size` asks for a random one.
        logits: logits of the training rows under the source head.
        labels: classes of the training rows.
        rows: row indices of the training rows in the task, ascending.
        class_names: names by class, for the error message.

    Raises:
        CalibrationError: fewer than `calibration_minimum` rows are misclassified and no fallback is
            set, or `calibration_size` selects fewer.
    """
    errors = np.flatnonzero(logits.argmax(axis=1) != labels)
    if len(errors) >= settings.calibration_minimum:
        chosen = choose_subset(rng, errors, compute_margins(logits, labels), settings)
        check_subset_size(len(chosen), len(errors), settings)
        return CalibrationSet(rows[np.sort(chosen)])
    if settings.calibration_fallback == "none":
        raise CalibrationError(too_few_errors_message(labels[errors], settings, class_names))
    nearest = np.argsort(compute_margins(logits, labels), kind="stable")
    return CalibrationSet(rows[np.sort(nearest[: fallback_size(settings)])], fallback=True)


def compute_margins(
    logits: Float[np.ndarray, "rows classes"], labels: Int[np.ndarray, " rows"]
) -> Float[np.ndarray, " rows"]:
    """Return the logit of the label minus the highest other logit.

    It is positive for a correctly classified row, negative for a misclassified one, 0 for a tie.

    Margins are computed from logits, because probabilities saturate at CLIP's logit scale of 100
    and their margins would tie.
    """
    own = np.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
    others = logits.copy()
    np.put_along_axis(others, labels[:, None], -np.inf, axis=1)
    return own - others.max(axis=1)


def choose_subset(
    rng: np.random.Generator,
    errors: Int[np.ndarray, " errors"],
    margins: Float[np.ndarray, " rows"],
    settings: Settings,
) -> Int[np.ndarray, " size"]:
    """Choose `calibration_size` of the misclassified rows: random or most confident ones.

    A size up to 1 is a fraction of them, rounded, but at least one row. A size from 2 is a number
    of rows, at most all. Without a size, `errors` is returned. With `calibration_subset`
    `confident`, the rows of lowest margin are chosen, lowest first.

    Args:
        errors: indices of the misclassified rows, into `margins`.
        margins: margin of each training row; see `compute_margins`.

    Returns:
        A subset of `errors`, in the order of choice.
    """
    size = settings.calibration_size
    if size is None:
        return errors
    count = min(len(errors), max(1, round(size * len(errors)) if size <= 1 else int(size)))
    if settings.calibration_subset == "confident":
        return errors[np.argsort(margins[errors], kind="stable")[:count]]
    return rng.permutation(errors)[:count]


def check_subset_size(chosen: int, errors: int, settings: Settings) -> None:
    """Raise CalibrationError if fewer than `calibration_minimum` rows are chosen.

    Args:
        chosen: number of rows that `calibration_size` selects.
        errors: number of misclassified rows.
    """
    if chosen < settings.calibration_minimum:
        raise CalibrationError(
            f"--calibration-size {settings.calibration_size:g} selects {chosen} of the {errors} "
            f"training rows that the {settings.calibration_source} head misclassifies, expected "
            f"at least {settings.calibration_minimum}: raise it, or lower --calibration-minimum"
        )


def fallback_size(settings: Settings) -> int:
    """Return `calibration_size` if it is a number of rows, else `calibration_batch_size`."""
    size = settings.calibration_size
    return settings.calibration_batch_size if size is None or size <= 1 else int(size)


def too_few_errors_message(
    error_labels: Int[np.ndarray, " errors"], settings: Settings, class_names: tuple[str, ...]
) -> str:
    """Return the error message for too few misclassified rows.

    It gives their number in each class and the remedies: "the identification head misclassifies 3
    training rows (landbird 0, waterbird 3), expected at least 5 for a calibration set: train it
    less ...".

    Args:
        error_labels: class of each misclassified row.
    """
    counts = np.bincount(error_labels, minlength=len(class_names))
    each = ", ".join(f"{name} {count}" for name, count in zip(class_names, counts, strict=True))
    remedies = {
        "identification": "train it less (--identification-steps, --identification-lr), use the "
        "errors of another head (--calibration-source zeroshot), ",
        "zeroshot": "use the errors of another head (--calibration-source identification), ",
    }[settings.calibration_source]
    rows = "row" if len(error_labels) == 1 else "rows"
    return (
        f"the {settings.calibration_source} head misclassifies {len(error_labels)} training {rows} "
        f"({each}), expected at least {settings.calibration_minimum} for a calibration set: "
        f"{remedies}or use the rows of smallest margin (--calibration-fallback margin)"
    )
