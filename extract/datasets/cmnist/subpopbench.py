"""SubpopBench's Colored MNIST (Yang et al. 2023): two classes of five digits, red or green.

A quarter of the labels is flipped, and a fifth of the colours differs from the flipped label. All
splits are made of MNIST's training part, by position.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int64, UInt8

from clip_cfr.extract.datasets.cmnist.coloured_images import ChannelDigits
from clip_cfr.extract.datasets.cmnist.digit_classes import make_manifest
from clip_cfr.extract.datasets.cmnist.mnist_files import read_part
from clip_cfr.extract.datasets.common.published_counts import compare_counts, count_groups
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.manifest.manifest import Manifest, make_rows

SEED = 666
SPLIT_SIZES = (30_000, 10_000, 20_000)
LABEL_NOISE, COLOUR_NOISE = 0.25, 0.2
# Rows of the groups (zero to four, red), (.., green), (five to nine, red), (.., green).
PUBLISHED = {
    "train": (12228, 3021, 3002, 11749),
    "val": (4011, 1068, 970, 3951),
    "test": (8009, 2002, 2044, 7945),
}


def load_subpopbench(root: Path, seed: int | None) -> Manifest:
    """Read Colored MNIST by the protocol `subpopbench`.

    Label 1 is five to nine before the noise, attribute 1 is green. The first 30,000 digits of
    MNIST's training part are train, the next 10,000 val, the last 20,000 test.

    Args:
        root: folder of MNIST's files.
        seed: seed of the noise; SubpopBench's if None.

    Raises:
        ExtractError: a file is missing or damaged, or has another number of digits.
    """
    train = read_part(root, "train")
    if len(train) != sum(SPLIT_SIZES):
        raise ExtractError(
            f"{root} has {len(train)} training digits, expected {sum(SPLIT_SIZES)}, because the "
            "protocol subpopbench splits them by position; use --protocol five-class"
        )
    splits = np.repeat(np.arange(3), SPLIT_SIZES)
    seed = SEED if seed is None else seed
    # As in SubpopBench, every split starts from the same seed.
    draws = [draw_labels_and_colours(seed, train.numbers[splits == code]) for code in range(3)]
    labels, colours = np.concatenate(draws, axis=1)
    rows = make_rows(train.ids, labels, colours, splits)
    return make_manifest(
        rows=rows,
        images=ChannelDigits(train.images, colours),
        classes=[range(5), range(5, 10)],
        colour_names=("red", "green"),
        warnings=(
            *train.warnings,
            *compare_counts("cmnist", count_groups(rows, 4, 2), PUBLISHED),
        ),
    )


def draw_labels_and_colours(
    seed: int, numbers: UInt8[np.ndarray, " n"]
) -> Int64[np.ndarray, "2 n"]:
    """Draw the label and the colour (0 red, 1 green) of each digit of one split.

    A label is 1 for five to nine, flipped with probability LABEL_NOISE. A colour is the label,
    flipped with probability COLOUR_NOISE.

    Args:
        seed: seed of the draw.
        numbers: number that each digit shows, 0 to 9.

    Returns:
        Labels in row 0, colours in row 1.
    """
    rng = np.random.default_rng(seed)
    labels = flip(rng, numbers >= 5, LABEL_NOISE)
    colours = flip(rng, labels, COLOUR_NOISE)
    return np.stack([labels, colours]).astype(np.int64)


def flip(
    rng: np.random.Generator, bits: Bool[np.ndarray, " n"], probability: float
) -> Bool[np.ndarray, " n"]:
    """Return a copy of the bits, each flipped with the given probability."""
    return bits ^ (rng.random(len(bits)) < probability)
