"""Classes of several digits: the manifest that both protocols share."""

from collections.abc import Sequence

from clip_cfr.cache.format.schema import Rows
from clip_cfr.extract.datasets.common.digit_words import DIGIT_WORDS, name_digit_range
from clip_cfr.extract.manifest.image_source import ImageSource
from clip_cfr.extract.manifest.manifest import Manifest, Sentence


def make_manifest(
    *,
    rows: Rows,
    images: ImageSource,
    classes: Sequence[range],
    colour_names: tuple[str, ...],
    warnings: tuple[str, ...],
) -> Manifest:
    """Build the manifest of coloured digits.

    Classes have names such as `a digit from zero to four`, and a prompt for each of their digits,
    such as `a photo of the digit zero.`, because no short name describes them all.

    Args:
        rows: labels are indices into `classes`, attributes into `colour_names`.
        images: the coloured digits.
        classes: consecutive digits of each class.
        colour_names: name of each colour.
        warnings: observations of the loader.
    """
    return Manifest(
        dataset="cmnist",
        rows=rows,
        images=images,
        class_names=tuple(map(name_digit_range, classes)),
        attribute_names=colour_names,
        class_prompts=tuple(
            tuple(Sentence(f"a photo of the digit {DIGIT_WORDS[digit]}.") for digit in digits)
            for digits in classes
        ),
        attribute_prompts=tuple(
            (Sentence(f"a photo of a {name} digit."),) for name in colour_names
        ),
        warnings=warnings,
    )
