"""Colored MNIST from MNIST's own files, by the protocol of SubpopBench or of CnC.

SubpopBench (Yang et al. 2023): two classes of five digits, a quarter of the labels flipped, red or
green. CnC (Zhang et al. 2022): five classes of two digits, five hues. A class is described by one
sentence for each of its digits, as no short name says what they have in common.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt8

from clip_cfr.cache.format.schema import Rows
from clip_cfr.extract.datasets.cmnist.coloured_images import (
    NUM_HUES,
    ChannelDigits,
    HueDigits,
    noisy,
    own_or_other_hues,
)
from clip_cfr.extract.datasets.cmnist.mnist_files import SIZES, ids, read_part
from clip_cfr.extract.datasets.common.digit_words import DIGIT_WORDS, digit_range
from clip_cfr.extract.datasets.common.options import DatasetOptions, chosen
from clip_cfr.extract.datasets.common.published_counts import differences, group_counts
from clip_cfr.extract.datasets.common.random_splits import SEED
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.manifest.image_source import ImageSource
from clip_cfr.extract.manifest.manifest import Manifest, make_rows

OPTIONS = ("protocol", "seed")

SUBPOPBENCH_SEED = 666
SUBPOPBENCH_PARTS = (30_000, 10_000, 20_000)
LABEL_NOISE, COLOUR_NOISE = 0.25, 0.2
PUBLISHED = {
    "train": (12228, 3021, 3002, 11749),
    "val": (4011, 1068, 970, 3951),
    "test": (8009, 2002, 2044, 7945),
}

HUE_NAMES = ("red", "lime", "green", "blue", "purple")
OWN_HUE = 0.995
# The last rows of the training file; CnC draws its validation rows from there.
VAL_FRACTION = 1 / 6


def load(root: Path, options: DatasetOptions) -> Manifest:
    """Colored MNIST; the label is a group of digits, the attribute a colour.

    Raises:
        OptionError: the protocol is unknown.
        ExtractError: a file is missing, damaged or not MNIST's.
    """
    protocol = chosen("protocol", options.protocol, tuple(PROTOCOLS))
    return PROTOCOLS[protocol](root, options.seed)


def subpopbench(root: Path, seed: int | None) -> Manifest:
    """The training digits alone, in three parts by position; label 1 is five to nine, but noisy."""
    digits, numbers = read_part(root, "train")
    if len(numbers) != sum(SUBPOPBENCH_PARTS):
        raise ExtractError(
            f"{len(numbers)} training digits in {root}, expected {sum(SUBPOPBENCH_PARTS)}: "
            "the protocol subpopbench goes by their positions; use --protocol five-class"
        )
    splits = np.repeat(np.arange(3), SUBPOPBENCH_PARTS)
    parts = [subpopbench_part(numbers[splits == code], seed) for code in range(3)]
    labels, colours = np.concatenate(parts, axis=1)
    rows = make_rows(ids("train", len(numbers)), labels, colours, splits)
    return described(
        rows=rows,
        images=ChannelDigits(digits, colours),
        classes=[range(5), range(5, 10)],
        colour_names=("red", "green"),
        warnings=differences("cmnist", group_counts(rows, 4, 2), PUBLISHED),
    )


def subpopbench_part(
    numbers: UInt8[np.ndarray, " n"], seed: int | None
) -> Int64[np.ndarray, "2 n"]:
    """The labels and the colours of one split's digits.

    Each split starts the same generator again, which gives the labels' noise and then the
    colours'.
    """
    rng = np.random.default_rng(SUBPOPBENCH_SEED if seed is None else seed)
    labels = noisy(rng, numbers >= 5, LABEL_NOISE)
    colours = noisy(rng, labels, COLOUR_NOISE)
    return np.stack([labels, colours]).astype(np.int64)


def five_class(root: Path, seed: int | None) -> Manifest:
    """All digits; in training each class mostly has its own hue, elsewhere hues say nothing."""
    train, test = read_part(root, "train"), read_part(root, "t10k")
    digits, numbers = (np.concatenate(columns) for columns in zip(train, test, strict=True))
    names = ids("train", len(train[1])) + ids("t10k", len(test[1]))
    num_val = round(len(train[1]) * VAL_FRACTION)
    splits = np.repeat(np.arange(3), (len(train[1]) - num_val, num_val, len(test[1])))
    labels = numbers.astype(np.int64) // 2
    hues = five_class_hues(labels, splits, SEED if seed is None else seed)
    sizes = dict(zip(SIZES, [(len(train[1]),), (len(test[1]),)], strict=True))
    return described(
        rows=make_rows(names, labels, hues, splits),
        images=HueDigits(digits, hues),
        classes=[range(first, first + 2) for first in range(0, 10, 2)],
        colour_names=HUE_NAMES,
        warnings=differences("cmnist", sizes, SIZES),
    )


def five_class_hues(
    labels: Int64[np.ndarray, " n"], splits: Int64[np.ndarray, " n"], seed: int
) -> Int64[np.ndarray, " n"]:
    """The number of each row's hue."""
    rng = np.random.RandomState(seed)
    correlated = own_or_other_hues(rng, labels, OWN_HUE)
    uniform = rng.randint(NUM_HUES, size=len(labels))
    return np.where(splits == 0, correlated, uniform)


PROTOCOLS = {"subpopbench": subpopbench, "five-class": five_class}


def described(
    rows: Rows,
    images: ImageSource,
    classes: Sequence[range],
    colour_names: tuple[str, ...],
    warnings: tuple[str, ...],
) -> Manifest:
    """The manifest of coloured digits; `classes[c]` are the digits of class c."""
    return Manifest(
        dataset="cmnist",
        rows=rows,
        images=images,
        class_names=tuple(map(digit_range, classes)),
        attribute_names=colour_names,
        class_prompts=tuple(
            tuple(f"a photo of the digit {DIGIT_WORDS[digit]}." for digit in digits)
            for digits in classes
        ),
        attribute_prompts=tuple((f"a photo of a {name} digit.",) for name in colour_names),
        warnings=warnings,
    )
