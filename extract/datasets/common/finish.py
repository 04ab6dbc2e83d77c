"""Finish a manifest: apply the user's names, prompts and val fraction, and collect warnings."""

from dataclasses import replace

import numpy as np

from clip_cfr.cache.format.schema import SPLIT_NAMES, Rows
from clip_cfr.cache.wording import count_noun
from clip_cfr.extract.datasets.common.class_names import (
    note_spelled_out,
    spell_out,
    warn_of_similar_names,
    warn_of_wordless_names,
)
from clip_cfr.extract.datasets.common.options import DatasetOptions
from clip_cfr.extract.datasets.common.overrides import override_class_names, override_prompts
from clip_cfr.extract.datasets.common.random_splits import DEFAULT_SEED, draw_splits
from clip_cfr.extract.datasets.common.unencodable import check_encodable
from clip_cfr.extract.errors import ExtractError, OptionError
from clip_cfr.extract.manifest.manifest import Manifest

# Why each split is needed, and what to do if it is empty.
NEEDED = {
    "train": "calibrate trains on it",
    "val": "calibrate selects on it; draw it from train with --val-fraction 0.2, here or there",
    "test": "calibrate reports accuracy on it; add such rows, or draw all splits with --columns "
    "split=",
}
ONE_SUBJECT = (
    "all training rows have one subject, and val needs rows of another one; add rows of other "
    "subjects"
)


def finish_manifest(
    manifest: Manifest, options: DatasetOptions, *, has_prompts: bool = True
) -> Manifest:
    """Return the manifest with the user's class names, prompts and val fraction, and warnings.

    Warnings about names, empty splits and prompts are added to those of the loader.

    Args:
        manifest: manifest of a loader.
        options: `class_names`, `prompts`, `val_fraction` and `seed` are used.
        has_prompts: whether prompts will be embedded; warnings about them are given only then.

    Raises:
        OptionError: an option does not fit the data set.
        ExtractError: the prompts file is not valid, or a path or name is not UTF-8.
    """
    if options.class_names is not None:
        manifest = override_class_names(manifest, options.class_names)
    if options.prompts is not None:
        manifest = override_prompts(manifest, options.prompts)
    if options.val_fraction is not None:
        manifest = draw_val(manifest, options.val_fraction, options.seed)
    check_encodable(manifest)
    warnings = [*warn_of_names(manifest), *warn_of_empty_splits(manifest)]
    if has_prompts:
        warnings += warn_of_prompts(manifest)
    return replace(manifest, warnings=(*manifest.warnings, *warnings))


def warn_of_names(manifest: Manifest) -> tuple[str, ...]:
    """Return warnings about a single class, and about names that differ only in case and blanks.

    Names of classes are compared with each other, and so are names of attribute values. Empty if
    there is nothing to report.
    """
    single = (
        f"{manifest.dataset}: {manifest.class_names[0]!r} is the only class, calibrate needs two"
    )
    return (
        *((single,) if len(manifest.class_names) == 1 else ()),
        *warn_of_similar_names(manifest.dataset, "classes", manifest.class_names),
        *warn_of_similar_names(manifest.dataset, "attribute values", manifest.attribute_names),
    )


def warn_of_prompts(manifest: Manifest) -> tuple[str, ...]:
    """Return up to two warnings: class names spelled differently in prompts, and wordless names.

    The first concerns classes whose only prompt entry is the spelled-out name.
    """
    spelled = [
        name
        for name, entries in zip(manifest.class_names, manifest.class_prompts, strict=True)
        if entries == (spell_out(name),)
    ]
    return (
        *note_spelled_out(manifest.dataset, spelled),
        *warn_of_wordless_names(manifest.dataset, manifest.class_names, manifest.class_prompts),
    )


def warn_of_empty_splits(manifest: Manifest) -> tuple[str, ...]:
    """Return a warning for each of train, val and test without rows, with the remedy."""
    counts = np.bincount(manifest.rows.splits, minlength=len(SPLIT_NAMES))
    needed = NEEDED
    if has_one_subject(manifest.rows):
        needed = {**NEEDED, "val": f"calibrate selects on it; {ONE_SUBJECT}"}
    return tuple(
        f"{manifest.dataset}: there is no row in {name}, and {needed[name]}"
        for name, count in zip(SPLIT_NAMES, counts, strict=True)
        if not count
    )


def has_one_subject(rows: Rows) -> bool:
    """Return whether there are training rows, all of one subject, so that val cannot be drawn."""
    return rows.subjects is not None and len(np.unique(rows.subjects[rows.splits == 0])) == 1


def draw_val(manifest: Manifest, fraction: float, seed: int | None) -> Manifest:
    """Return the manifest with a fraction of the training rows, drawn at random, as val.

    They are drawn by `draw_splits`, whole subjects if there are any; a warning says how many.

    Args:
        manifest: a manifest without rows in val.
        fraction: fraction of the training rows, between 0 and 1.
        seed: seed of the draw; DEFAULT_SEED if None.

    Raises:
        OptionError: the fraction is not between 0 and 1, or there are rows in val already.
        ExtractError: there are fewer than two training rows, or all have one subject.
    """
    if not 0 < fraction < 1:
        raise OptionError(f"--val-fraction is {fraction}, expected a number between 0 and 1")
    rows = manifest.rows
    num_val = int((rows.splits == 1).sum())
    if num_val:
        raise OptionError(
            f"--val-fraction draws val from train where there is none, but {manifest.dataset} has "
            f"{count_noun(num_val, 'row')} in val; leave the option out"
        )
    train = np.flatnonzero(rows.splits == 0)
    if len(train) < 2:
        raise ExtractError(
            f"{manifest.dataset} has {count_noun(len(train), 'row')} in train, too few to draw "
            "val from"
        )
    if has_one_subject(rows):
        raise ExtractError(
            f"--val-fraction {fraction:g}: {manifest.dataset}: {ONE_SUBJECT}, or leave the option "
            "out"
        )
    seed = DEFAULT_SEED if seed is None else seed
    groups = rows.labels * max(1, len(manifest.attribute_names)) + rows.attributes
    subjects = None if rows.subjects is None else rows.subjects[train]
    fractions = (1 - fraction, fraction)
    drawn, how = draw_splits(rows.labels[train], groups[train], fractions, seed, subjects)
    splits = rows.splits.copy()
    splits[train] = drawn
    warning = (
        f"{manifest.dataset}: drew {int(drawn.sum()):,} of {len(train):,} training rows as val "
        f"with seed {seed}, {how}"
    )
    return replace(
        manifest,
        rows=replace(rows, splits=splits),
        warnings=(*manifest.warnings, warning),
        drawn_splits=("val",),
    )
