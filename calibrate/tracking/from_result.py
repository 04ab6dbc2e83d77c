"""The runs to log of a calibration: one for each method and seed."""

from collections.abc import Mapping

import numpy as np

from clip_cfr.calibrate.comparison.method_result import REPORTED, MethodResult, SeedResult
from clip_cfr.calibrate.comparison.notes import format_recommendation
from clip_cfr.calibrate.comparison.result import Result
from clip_cfr.calibrate.core.settings import Value
from clip_cfr.calibrate.methods import load_method
from clip_cfr.calibrate.run_folder import run_name
from clip_cfr.calibrate.tracking.tracked_run import TrackedRun, text_values


def track_result(result: Result, name: str) -> TrackedRun:
    """Return the run of a calibration, with one run below it for each method and seed.

    Args:
        result: the result, with artifacts.
        name: name of the run, such as that of the run folder.
    """
    histories = result.artifacts.histories
    children = tuple(
        TrackedRun(
            name=run_name(method.name, seed.seed),
            parameters=seed_parameters(result, method, seed),
            metrics=final_metrics(seed),
            curves=training_curves(histories.get((method.name, seed.seed), {})),
        )
        for method in result.methods.values()
        for seed in method.seeds
    )
    return TrackedRun(
        name=name, tags=result_tags(result), text=describe_result(result), children=children
    )


def seed_parameters(result: Result, method: MethodResult, seed: SeedResult) -> dict[str, Value]:
    """Return `method`, `seed`, `selection` and the settings that a method depends on, by name.

    The values are those of the tuning if the method was tuned.
    """
    tuned = method.tuned_settings or {}
    used = load_method(method.name).used_settings
    settings = {each: tuned.get(each, getattr(result.settings, each)) for each in used}
    return {
        "method": method.name,
        "seed": seed.seed,
        "selection": result.selection,
        **settings,
    }


def final_metrics(seed: SeedResult) -> dict[str, float]:
    """Return the metrics of the selected heads as `SPLIT/SELECTION/METRIC`; those known alone."""
    return {
        f"{split}/{selection}/{name}": value
        for selection, evaluation in seed.by_selection.items()
        for split in REPORTED
        for name, value in getattr(evaluation, split).to_json().items()
        if isinstance(value, float)
    }


def training_curves(history: Mapping[str, np.ndarray]) -> dict[str, dict[int, float]]:
    """Return the columns of a training log by step, as `training/COLUMN`; none without a log."""
    return {
        f"training/{name}": dict(zip(history["step"].tolist(), column.tolist(), strict=True))
        for name, column in history.items()
        if name != "step"
    }


def result_tags(result: Result) -> dict[str, str]:
    """Return cache, data set, model, prompts and the recommended head of a result, by name."""
    head, cache = result.recommended_head, result.cache
    return text_values(
        {
            "cache": cache.path,
            "dataset": cache.dataset,
            "model": cache.model,
            "class_embeddings": cache.class_embeddings,
            "prompt_set": cache.prompt_set,
            "recommended_head": None if head is None else run_name(*head),
        }
    )


def describe_result(result: Result) -> str:
    """Return the recommendation and the warnings of a result, one paragraph each."""
    warnings = [f"Warning: {each}." for each in result.warnings]
    return "\n\n".join([format_recommendation(result), *warnings])
