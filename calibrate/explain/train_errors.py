"""The errors on training images that CFR learns from, which are more than those on a small val."""

from functools import partial
from pathlib import Path

import numpy as np

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.format.schema import SPLIT_NAMES, FeatureCache
from clip_cfr.cache.runs.encoding import class_indices
from clip_cfr.cache.runs.heads import parse_head_name
from clip_cfr.cache.runs.run import CALIBRATION_ROWS, Run
from clip_cfr.calibrate.core.errors import SettingsError
from clip_cfr.calibrate.explain.images import Chosen, Images, read_embeddings


def choose_train_errors(directory: Path, run: Run, method: str | None) -> Chosen:
    """Return the errors on train of the head that selected the calibration set.

    Raises:
        CacheError: the run does not have all of them.
        SettingsError: a method is given.
    """
    if method is not None:
        raise SettingsError(
            f"the run has training errors of the head that selects the calibration set, none of "
            f"{method}; leave out --method, or give --split val or test"
        )
    settings = run.config["settings"] | run.config.get("tuned_settings", {}).get("cfr", {})
    if "predicted" not in run.calibration_rows:
        found = "a file of an earlier version" if run.calibration_rows else "none"
        raise CacheError(
            f"{directory}: {CALIBRATION_ROWS}: expected training errors with the column predicted, "
            f"found {found}; calibrate again with --method cfr"
        )
    for name in ("calibration_size", "resample"):
        if settings.get(name):
            raise CacheError(
                f"{directory}: the setting {name} is {settings[name]}, so the run lacks training "
                f"errors; calibrate again without --{name.replace('_', '-')}"
            )
    seeds = np.unique(run.calibration_rows["seed"]).tolist()
    recommended = None if run.recommended is None else parse_head_name(run.recommended)[1]
    seed = recommended if recommended in seeds else seeds[0]
    source = settings["calibration_source"]
    return Chosen(source, seed, partial(read_train_images, run=run, source=source, seed=seed))


def read_train_images(cache: FeatureCache, run: Run, source: str, seed: int) -> Images:
    """Return the images of train; those outside the calibration set are right.

    Rows of val that were drawn from train are in the table of predictions, and left out.
    """
    is_train = cache.valid & (cache.rows.splits == SPLIT_NAMES.index("train"))
    rows = np.setdiff1d(np.flatnonzero(is_train), run.predictions["row"])
    errors = {
        name: each[run.calibration_rows["seed"] == seed]
        for name, each in run.calibration_rows.items()
    }
    labels, subjects = cache.rows.labels[rows], cache.rows.subjects
    predicted = labels.astype(np.int64)
    predicted[np.searchsorted(rows, errors["row"])] = class_indices(
        CALIBRATION_ROWS, errors["predicted"], cache.texts.class_names
    )
    return Images(
        rows=rows,
        ids=tuple(cache.rows.ids[row] for row in rows),
        labels=labels,
        subjects=None if subjects is None else subjects[rows],
        embeddings=read_embeddings(cache, rows),
        predicted={source: predicted},
        probability=None,
    )
