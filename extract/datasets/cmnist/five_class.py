"""CnC's Colored MNIST (Zhang et al. 2022): five classes of two digits, in five hues.

In the training split, nearly every digit has the hue of its class; elsewhere hues are uniform.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Int64

from clip_cfr.extract.datasets.cmnist.coloured_images import NUM_HUES, HueDigits
from clip_cfr.extract.datasets.cmnist.digit_classes import make_manifest
from clip_cfr.extract.datasets.cmnist.mnist_files import read_part
from clip_cfr.extract.datasets.common.published_counts import compare_counts
from clip_cfr.extract.datasets.common.random_splits import DEFAULT_SEED
from clip_cfr.extract.manifest.manifest import Manifest, make_rows

HUE_NAMES = ("red", "lime", "green", "blue", "purple")
# Share of training digits that have the hue of their class.
OWN_HUE = 0.995
# CnC takes its validation rows from the training part too; here they are its last rows.
VAL_FRACTION = 1 / 6
PUBLISHED = {"train-images-idx3-ubyte": (60_000,), "t10k-images-idx3-ubyte": (10_000,)}


def load_five_class(root: Path, seed: int | None) -> Manifest:
    """Read Colored MNIST by the protocol `five-class`.

    Label c is the digits 2c and 2c + 1, the attribute is the hue. The last sixth of MNIST's
    training part is val, its test part is test.

    Args:
        root: folder of MNIST's files.
        seed: seed of the hues; DEFAULT_SEED if None.

    Raises:
        ExtractError: a file is missing or damaged.
    """
    train, test = read_part(root, "train"), read_part(root, "t10k")
    num_val = round(len(train) * VAL_FRACTION)
    splits = np.repeat(np.arange(3), (len(train) - num_val, num_val, len(test)))
    labels = np.concatenate([train.numbers, test.numbers]).astype(np.int64) // 2
    rng = np.random.RandomState(DEFAULT_SEED if seed is None else seed)
    hues = draw_hues(rng, labels, splits)
    sizes = dict(zip(PUBLISHED, [(len(train),), (len(test),)], strict=True))
    return make_manifest(
        rows=make_rows(train.ids + test.ids, labels, hues, splits),
        images=HueDigits(np.concatenate([train.images, test.images]), hues),
        classes=[range(first, first + 2) for first in range(0, 10, 2)],
        colour_names=HUE_NAMES,
        warnings=(
            *train.warnings,
            *test.warnings,
            *compare_counts("cmnist", sizes, PUBLISHED),
        ),
    )


def draw_hues(
    rng: np.random.RandomState, labels: Int64[np.ndarray, " n"], splits: Int64[np.ndarray, " n"]
) -> Int64[np.ndarray, " n"]:
    """Draw the hue of each row, an index from 0 to 4.

    In the training split it is the label with probability OWN_HUE, else another hue; elsewhere hues
    are uniform.

    Args:
        rng: draws the hues.
        labels: class of each row, 0 to 4.
        splits: split code of each row; 0 is train.
    """
    correlated = draw_correlated_hues(rng, labels, OWN_HUE)
    uniform = rng.randint(NUM_HUES, size=len(labels))
    return np.where(splits == 0, correlated, uniform)


def draw_correlated_hues(
    rng: np.random.RandomState, labels: Int64[np.ndarray, " n"], probability: float
) -> Int64[np.ndarray, " n"]:
    """Draw hues that equal the label with the given probability, and are uniform otherwise.

    A hue that does not equal the label is drawn among the four other hues.
    """
    is_own = rng.random_sample(len(labels)) < probability
    others = (labels + rng.randint(1, NUM_HUES, size=len(labels))) % NUM_HUES
    return np.where(is_own, labels, others)
