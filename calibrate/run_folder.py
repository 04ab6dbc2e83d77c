"""Write a result to a run folder, and read it back."""

from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Any

import numpy as np

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.format.schema import FeatureCache
from clip_cfr.cache.read.info import content_digest
from clip_cfr.cache.runs.run import Run, read_run, write_reserved_run
from clip_cfr.calibrate.comparison.method_result import REPORTED
from clip_cfr.calibrate.comparison.result import Artifacts, Result
from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.task import SPLITS
from clip_cfr.calibrate.open_task import OpenTask

LIBRARIES = ("jax", "numpy", "optax", "scikit-learn")


def write_result(
    directory: Path, result: Result, opened: OpenTask, platform: str, overwrite: bool
) -> None:
    """Write the run folder of a result, which the caller has reserved.

    Args:
        directory: the folder, reserved with `reserve_run_folder`.
        result: the result, with artifacts.
        opened: the task that it was computed on.
        platform: platform that JAX computed on, for the provenance.
        overwrite: whether to replace a run in the folder.

    Raises:
        RunNotWritten: the disk is full, the folder cannot be written, another program has written
            to it in the meantime, or a value such as NaN cannot be stored.
        CacheError: the cache file cannot be read again for its digest.
    """
    artifacts, head = result.artifacts, result.recommended_head
    run = Run(
        config={
            "cache": result.cache.path,
            "methods": list(result.methods),
            "settings": asdict(result.settings),
            "tuned_settings": {
                name: dict(each.tuned_settings)
                for name, each in result.methods.items()
                if each.tuned_settings is not None
            },
            "seeds": list(result.seeds),
            "held_rows": opened.resident_rows,
            "prompts": opened.prompt_set,
            "named": result.named and result.named.request_json(),
        },
        provenance={
            "cache_sha256": content_digest(result.cache.path),
            "cache": opened.cache.provenance,
            "device": platform,
            "versions": library_versions(),
        },
        metrics=result.to_json(),
        history=by_run_name(artifacts.histories),
        heads=by_run_name(artifacts.heads),
        formulas={run_name(*key): artifacts.formulas[key[0]] for key in artifacts.heads},
        recommended=None if head is None else run_name(*head),
        predictions=prediction_columns(opened.cache, result),
        named_attributes=named_columns(opened),
        calibration_rows=calibration_columns(opened.cache, artifacts),
    )
    try:
        write_reserved_run(directory, run, overwrite)
    except CacheError as error:
        raise RunNotWritten(str(error), result) from error


class RunNotWritten(CacheError):
    """The run folder of a calibration could not be written.

    Attributes:
        result: the complete result, which can still be shown.
    """

    def __init__(self, message: str, result: Result):
        super().__init__(message)
        self.result = result


def run_name(method: str, seed: int) -> str:
    """Return the name of a method's files for one seed: `METHOD-seedN`, such as `cfr-seed0`."""
    return f"{method}-seed{seed}"


def by_run_name(tables: Mapping[tuple[str, int], Any]) -> dict[str, Any]:
    """Return values by `METHOD-seedN` (`run_name`) instead of by method and seed."""
    return {run_name(*key): value for key, value in tables.items()}


def library_versions() -> dict[str, str]:
    """Return the versions of `python` and of `LIBRARIES`, by name."""
    return {"python": python_version(), **{name: version(name) for name in LIBRARIES}}


def row_columns(cache: FeatureCache, rows: np.ndarray) -> dict[str, list]:
    """Return the columns `row` (index), `id`, and the names `split`, `label`, `attribute` of rows.

    Args:
        cache: the cache.
        rows: row indices, (n,); each column has n entries in this order.
    """
    texts = cache.texts
    attributes = texts.attribute_names or ("any",)
    return {
        "row": rows.tolist(),
        "id": [cache.rows.ids[row] for row in rows],
        "split": [SPLITS[code] for code in cache.rows.splits[rows]],
        "label": [texts.class_names[label] for label in cache.rows.labels[rows]],
        "attribute": [attributes[each] for each in cache.rows.attributes[rows]],
    }


def prediction_columns(cache: FeatureCache, result: Result) -> dict[str, list]:
    """Return one row for each valid image of val and test, as columns.

    After the columns of `row_columns`, `METHOD_seedN` is the name of the predicted class, and
    `METHOD_seedN_pK` the probability of class K as text with six significant digits.
    """
    predictions = result.artifacts.predictions
    first = next(iter(predictions.values()))
    columns = row_columns(cache, np.concatenate([first[split].rows for split in REPORTED]))
    for (method, seed), found in predictions.items():
        probabilities = np.concatenate([found[split].probabilities for split in REPORTED])
        name = f"{method}_seed{seed}"
        classes = np.concatenate([found[split].classes for split in REPORTED])
        columns[name] = [cache.texts.class_names[each] for each in classes]
        for label, column in enumerate(probabilities.T):
            columns[f"{name}_p{label}"] = [f"{value:.6g}" for value in column]
    return columns


def named_columns(opened: OpenTask) -> dict[str, list]:
    """Return the named values of all rows that were compared, as columns; none without attributes.

    After the columns of `row_columns`, an attribute has `value: NAME`, empty for a row that is left
    out, and `margin: NAME` with six significant digits.
    """
    named = opened.task.named
    if not named:
        return {}
    rows = np.flatnonzero(~np.isnan(named[0].margins))
    columns = row_columns(opened.cache, rows)
    for each in named:
        found = each.indices[rows]
        columns[f"value: {each.name}"] = [each.values[i] if i >= 0 else "" for i in found]
        columns[f"margin: {each.name}"] = [f"{margin:.6g}" for margin in each.margins[rows]]
    return columns


def calibration_columns(cache: FeatureCache, artifacts: Artifacts) -> dict[str, list]:
    """Return the rows of each seed's calibration set as columns.

    They are `seed`, those of `row_columns`, and `predicted`, the name of the class that the head
    which selected the rows predicts. There are no columns without calibration sets.
    """
    if not artifacts.calibration_rows:
        return {}
    sets = artifacts.calibration_rows
    seeds = [seed for seed, rows in sets.items() for _ in rows]
    predicted = np.concatenate([artifacts.calibration_predictions[seed] for seed in sets])
    return {
        "seed": seeds,
        **row_columns(cache, np.concatenate(list(sets.values()))),
        "predicted": [cache.texts.class_names[each] for each in predicted],
    }


def read_result(directory: str | Path) -> Result:
    """Return the result in a run folder, without artifacts, after checking all files.

    Raises:
        CacheError: the folder is missing, not a run folder, or damaged.
        CalibrationError: its metrics are not those of a calibration.
    """
    metrics = read_run(directory).metrics
    try:
        return Result.from_json(metrics)
    except CalibrationError as error:
        raise CalibrationError(f"{directory}: metrics.json: {error}") from error
