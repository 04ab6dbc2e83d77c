"""The result of a run with accuracies in groups that are named in words for the report."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from clip_cfr.cache.errors import FieldError, error_context
from clip_cfr.cache.read.reader import open_cache
from clip_cfr.cache.runs.encoding import class_indices
from clip_cfr.cache.runs.run import DAMAGED, PREDICTIONS, Run
from clip_cfr.calibrate.comparison.method_result import REPORTED, MethodResult, SeedResult
from clip_cfr.calibrate.comparison.result import Result
from clip_cfr.calibrate.core.metrics import named_metrics
from clip_cfr.calibrate.core.named_groups import NamedAttribute, number_cells
from clip_cfr.calibrate.named.embedded import EmbeddedAttributes, check_some, name_images
from clip_cfr.calibrate.named.summary import TrueGroups, summarize


def name_result(
    directory: Path, run: Run, result: Result, path: Path, embedded: EmbeddedAttributes
) -> Result:
    """Return a result with the metrics of named groups, of the heads that its selection chose.

    They are those that the calibration would have computed for these heads with the attributes.

    Args:
        directory: the run folder, for messages.
        run: its files, whose predictions are evaluated.
        result: its metrics, without named groups.
        path: its cache.
        embedded: the attributes.

    Raises:
        CacheError: the predictions of a method are missing or damaged.
        CalibrationError: no row of val or of test has a value of an attribute.
    """
    table = run.predictions
    rows = {each: table["row"][table["split"] == each] for each in REPORTED}
    with open_cache(path) as cache:
        head, used = cache.head, np.sort(np.concatenate(list(rows.values())))
        named = name_images(embedded, cache.features, used, head.projection, head.bias)
        truth = TrueGroups.from_cache(cache)
    for split, each in rows.items():
        check_some(named, each, split, embedded.margin)
    measure = partial(measure_head, run, truth, named)
    with error_context(directory, DAMAGED):
        methods = {
            name: replace(method, seeds=name_seeds(method, result.selection, measure))
            for name, method in result.methods.items()
        }
    return replace(result, methods=methods, named=summarize(truth, named, rows, embedded))


def measure_head(
    run: Run, truth: TrueGroups, named: tuple[NamedAttribute, ...], method: str, seed: int
) -> dict[str, dict[str, Any]]:
    """Return the metrics of named groups by split, of the predictions of a method with a seed.

    Args:
        run: the run, with its table of predictions.
        truth: class of each row of the cache.
        named: the attributes.
        method, seed: whose predictions are evaluated.

    Raises:
        FieldError: the predictions are missing, or name no class.
    """
    table, column, names = run.predictions, f"{method}_seed{seed}", truth.class_names
    if column not in table:
        raise FieldError(PREDICTIONS, f"the column {column}", ", ".join(table))
    correct = class_indices(PREDICTIONS, table[column], names) == truth.labels[table["row"]]
    cells = number_cells(truth.labels, named, len(names))[table["row"]]
    parts = {split: table["split"] == split for split in REPORTED}
    return {
        split: named_metrics(named, names, cells[part], correct[part])
        for split, part in parts.items()
    }


def name_seeds(
    method: MethodResult, selection: str, measure: Callable[[str, int], Mapping]
) -> tuple[SeedResult, ...]:
    """Return the seeds of a method with further metrics of the heads that a criterion selected.

    Args:
        method: the method.
        selection: the criterion.
        measure: returns the metrics by split for the name of a method and a seed.
    """
    return tuple(
        with_metrics(each, selection, measure(method.name, each.seed)) for each in method.seeds
    )


def with_metrics(
    seed: SeedResult, selection: str, found: Mapping[str, Mapping[str, Any]]
) -> SeedResult:
    """Return a seed with further metrics of each split, of the head that a criterion selected."""
    evaluation = seed.by_selection[selection]
    splits = {split: replace(getattr(evaluation, split), **each) for split, each in found.items()}
    evaluations = {**seed.by_selection, selection: replace(evaluation, **splits)}
    return replace(seed, by_selection=evaluations)
