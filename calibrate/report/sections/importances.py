"""How much each setting matters, by Optuna."""

from collections.abc import Sequence

from clip_cfr.calibrate.grid.point_result import PointResult
from clip_cfr.calibrate.grid.result import GridResult
from clip_cfr.calibrate.methods import METHOD_TITLES
from clip_cfr.calibrate.report.grid_points import (
    complete_points,
    is_number,
    per_cent,
    sorted_values,
    varied_settings,
)
from clip_cfr.calibrate.report.plots.bars import Bars
from clip_cfr.calibrate.report.section import Section, paragraph
from clip_cfr.calibrate.report.source import GridSource

MINIMUM_POINTS = 4


def make(source: GridSource) -> Section | None:
    """Return the section with the importance of each setting; None with fewer than two settings."""
    plots = [
        plot
        for name in source.result.methods
        if (plot := plot_method(source.result, name)) is not None
    ]
    if not plots:
        return None
    note = (
        "Share of the variation of validation accuracy that Optuna (PED-ANOVA) attributes to each "
        "setting. With few points the shares are rough."
    )
    return Section("importances", "Importance of the settings", (paragraph(note, "note"), *plots))


def plot_method(result: GridResult, method: str) -> Bars | None:
    """Return bars of the importances of a method's settings; None if they cannot be computed."""
    points = complete_points(result, method)
    names = varied_settings(points)
    if len(names) < 2 or len(points) < MINIMUM_POINTS:
        return None
    found = compute_importances(points, names, result.metric)
    if not found:
        return None
    return Bars(
        name=f"importances-{method}",
        title=f"{METHOD_TITLES[method]}: importance of each setting, in per cent",
        alt="Bars of the importance of each setting.",
        categories=tuple((each,) for each in found),
        series={"importance": tuple(100 * each for each in found.values())},
        whiskers={},
        unit="share in per cent",
    )


def compute_importances(
    points: Sequence[PointResult], names: Sequence[str], metric: str
) -> dict[str, float]:
    """Return the importance of each setting in [0, 1], highest first; empty if none is defined.

    Args:
        points: complete points that have all settings.
        names: the settings.
        metric: the validation metric, a name of `METRICS`.
    """
    import optuna
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    distributions = {name: make_distribution(points, name) for name in names}
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize")
    for point in points:
        value = per_cent(point, "val", metric)
        if value is not None:
            params = {name: point.settings[name] for name in names}
            study.add_trial(
                optuna.trial.create_trial(params=params, distributions=distributions, value=value)
            )
    if len({each.value for each in study.trials}) < 2:
        return {}
    return get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())


def make_distribution(points: Sequence[PointResult], name: str):
    """Return the distribution of a setting for Optuna: floats as an interval, others as choices."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    values = sorted_values(points, name)
    if all(map(is_number, values)) and any(isinstance(each, float) for each in values):
        log = values[0] > 0 and values[-1] >= 10 * values[0]
        return FloatDistribution(float(values[0]), float(values[-1]), log=log)
    return CategoricalDistribution(values)
