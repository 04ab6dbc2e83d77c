"""Compare the model and the preprocessing of features with those of a run."""

from collections.abc import Mapping
from typing import Any

from clip_cfr.cache.format.nested import flatten
from clip_cfr.extract.images.settings import FULL_BIT_DEPTH

# Entries of the provenance that change features by more than rounding.
DECISIVE = ("weights_sha256", "architecture", "image_processor", "bit_depth")
# They name the model, and may be folders of one machine, if there is no digest of the weights.
NAMES = ("model", "revision")


def find_difference(expected: Mapping[str, Any], found: Mapping[str, Any]) -> str | None:
    """Return the first setting in which two provenances of features differ; None without one.

    For example, `weights_sha256: expected 0a1b, found 2c3d`. Settings that change features by
    rounding only, such as the device, are not compared; names of the model are if the expected
    provenance has no digest of its weights.

    Args:
        expected: provenance of the features that a head was trained on.
        found: provenance of the features that it is to be applied to.
    """
    names = DECISIVE if expected.get("weights_sha256") else (*NAMES, *DECISIVE)
    settings = [decisive_settings(each, names) for each in (expected, found)]
    for name in {**settings[0], **settings[1]}:
        wanted, actual = (each.get(name, "none") for each in settings)
        if wanted != actual:
            return f"{name}: expected {wanted}, found {actual}"
    return None


def decisive_settings(provenance: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Return the entries of these names that a provenance has, flattened to dotted names.

    A bit depth that is not recorded is the full one.
    """
    complete = {"bit_depth": FULL_BIT_DEPTH} | dict(provenance)
    return flatten({name: complete[name] for name in names if name in complete})
