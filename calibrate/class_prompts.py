"""The set of class prompts that a calibration uses, with clear errors if the cache lacks it."""

from collections.abc import Sequence
from pathlib import Path

from clip_cfr.cache.class_prompts import PROMPT_SETS
from clip_cfr.cache.format.schema import FeatureCache
from clip_cfr.calibrate.core.errors import CalibrationError, SettingsError


def check_prompt_set(path: str | Path, name: str | None, available: Sequence[str]) -> None:
    """Raise an error unless a cache has a set of prompts.

    Args:
        path: the cache file.
        name: the set; None, for the prompts of the cache, always passes.
        available: the sets of the cache; see `list_prompt_sets`.

    Raises:
        SettingsError: the name is not one of `PROMPT_SETS`.
        CalibrationError: the cache does not have the set.
    """
    if name is None or name in available:
        return
    if name not in PROMPT_SETS:
        raise SettingsError(f"prompts is {name!r}, expected one of: {', '.join(PROMPT_SETS)}")
    if available:
        found = f"has the prompts {', '.join(available)} only"
        remedy = "extract the images again, which stores all that fit the text tower"
    else:
        found = "has no prompts made with templates"
        remedy = (
            "make it with extract from the images, or import it with --class-embeddings of other "
            "prompts"
        )
    raise CalibrationError(
        f"{path}: --prompts {name}: the cache {found}; {remedy}, or leave --prompts out"
    )


def has_sentences_only(cache: FeatureCache) -> bool:
    """Return whether the prompts of all classes are sentences into which no name was put.

    They are equal in all sets: of a name, `simple` and `name` have different prompts.
    """
    others = cache.texts.other_prompts
    if others is None:
        return False
    own = {prompt for prompts in cache.texts.class_prompts for prompt in prompts}
    return set(others.sentences) == own
