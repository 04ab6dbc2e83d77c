"""Details of one fit for the studies: predictions by every criterion, and the calibration set."""

from base64 import b64decode, b64encode
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool


@dataclass(frozen=True)
class SeedDetails:
    """What studies need of one fit beside its accuracies; all fields have JSON types.

    Attributes:
        test_correct: whether the classifier of each criterion is right about each row of the test
            split, as `pack_correct` writes it.
        val: accuracies of each criterion's classifier on val, by metric, in [0, 1].
        steps: the training step that each criterion selects; empty if nothing is selected.
        calibration_groups: number of rows of each group in the calibration set; None if the method
            does not use it.
    """

    test_correct: dict[str, str]
    val: dict[str, dict[str, float | None]]
    steps: dict[str, int]
    calibration_groups: list[int] | None = None


def pack_correct(correct: Bool[np.ndarray, " rows"]) -> str:
    """Return booleans as text, with eight in a byte and the bytes in base64."""
    return b64encode(np.packbits(correct).tobytes()).decode()


def unpack_correct(text: str, rows: int) -> Bool[np.ndarray, " rows"]:
    """Return the booleans of a text that `pack_correct` wrote.

    Args:
        text: the text.
        rows: their number.

    Raises:
        ValueError: the text is not base64, or holds fewer.
    """
    packed = np.frombuffer(b64decode(text, validate=True), np.uint8)
    if 8 * len(packed) < rows:
        raise ValueError(f"expected {rows} predictions, found {8 * len(packed)}")
    return np.unpackbits(packed, count=rows).astype(bool)
