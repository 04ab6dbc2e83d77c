"""Coloured handwritten digits: a data set that needs no download.

Red coincides with zero to four and green with five to nine in 95 % of the training split, and in
half of the validation and test splits.

Layout of a rendered root:

    metadata.csv, rendering.json
    train/0/0010-0.png ...
"""

from dataclasses import replace
from pathlib import Path

from clip_cfr.extract.datasets.common.binary_rows import read_binary_rows
from clip_cfr.extract.datasets.common.digit_words import DIGIT_WORDS, name_digit_range
from clip_cfr.extract.datasets.common.image_paths import locate_images
from clip_cfr.extract.datasets.common.options import DatasetOptions
from clip_cfr.extract.datasets.common.random_splits import DEFAULT_SEED
from clip_cfr.extract.datasets.digits.handwritten import load_handwritten
from clip_cfr.extract.datasets.digits.picture_plan import COLOUR_NAMES
from clip_cfr.extract.datasets.digits.rendered_folder import METADATA, ensure_rendered
from clip_cfr.extract.datasets.tables.read_table import read_table
from clip_cfr.extract.datasets.tables.roles import FILENAME, SUBJECT
from clip_cfr.extract.manifest.image_source import FileSource
from clip_cfr.extract.manifest.manifest import Manifest, Sentence

OPTIONS = ("seed",)
CLASSES = (range(5), range(5, 10))
PROMPTS = ("a photo of the digit {}.", "the digit {}.")


def load(root: Path, options: DatasetOptions) -> Manifest:
    """Read the digits, after rendering them if the root is missing or empty.

    Label 1 is five to nine, attribute 1 is green, and a subject is one handwritten digit. Rendering
    takes seconds.

    Args:
        root: folder of the rendered digits.
        options: `seed` of the rendering, by default DEFAULT_SEED, and `skip_missing` are used.

    Raises:
        ExtractError: the root holds other files, digits of another seed, or not all of them.
        CacheError: the root cannot be written, or another process is rendering into it.
    """
    ensure_rendered(root, DEFAULT_SEED if options.seed is None else options.seed)
    table = read_table(root / METADATA)
    images = locate_images(root, table, table.column(FILENAME), skip_missing=options.skip_missing)
    table.require_unique("image", images.paths)
    subjects = {str(index): index for index in range(len(load_handwritten()[0]))}
    return Manifest(
        dataset="digits",
        rows=replace(
            read_binary_rows(table, images.paths), subjects=table.encode_column(subjects, SUBJECT)
        ),
        images=FileSource(root, images.paths),
        class_names=tuple(map(name_digit_range, CLASSES)),
        attribute_names=COLOUR_NAMES,
        class_prompts=tuple(
            tuple(
                Sentence(prompt.format(DIGIT_WORDS[digit]))
                for digit in digits
                for prompt in PROMPTS
            )
            for digits in CLASSES
        ),
        attribute_prompts=tuple(
            (Sentence(f"a photo of a {name} digit."),) for name in COLOUR_NAMES
        ),
        warnings=images.warnings,
    )
