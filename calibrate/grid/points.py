"""Fits points and measures them; the only part of a search that computes."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from optuna import TrialPruned

from clip_cfr.calibrate.comparison.compare import predict
from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.experiment import Experiment, Prepared, erm_settings
from clip_cfr.calibrate.core.metrics import evaluate
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.core.train import Watch
from clip_cfr.calibrate.methods import cfr, fit
from clip_cfr.calibrate.methods.fitted import Fitted
from clip_cfr.calibrate.methods.together import fit_each

Measured = dict[str, Any]
METRICS = ("worst_group", "average", "train_weighted_average", "group_mean", "worst_class")
# A stage takes 12 MB at the size of ViT-L.
STAGES_KEPT = 16


@dataclass(frozen=True)
class Fit:
    """One fit to do: a point with one of its seeds; `watch` may end it early."""

    settings: Settings
    seed: int
    watch: Watch | None = None


@dataclass
class Experiments:
    """Experiments on one task, which share the ERM stages of late.

    Attributes:
        prepared: the task.
        kept: how many ERM stages are kept: the last ones used.
    """

    prepared: Prepared
    kept: int
    recent: OrderedDict[tuple, Experiment] = field(default_factory=OrderedDict)

    def of(self, settings: Settings, seed: int) -> Experiment:
        """The experiment with these settings and this seed."""
        place = (erm_settings(settings), seed)
        like = self.recent.get(place) or Experiment(self.prepared, settings, seed)
        self.recent[place] = like
        self.recent.move_to_end(place)
        if len(self.recent) > self.kept:
            self.recent.popitem(last=False)
        return like.with_settings(settings)


def fit_points(
    experiments: Experiments, method: str, fits: Sequence[Fit]
) -> list[Measured | Exception]:
    """What each fit measures, or the reason why it came to nothing, in the order of the fits."""
    chosen = [experiments.of(each.settings, each.seed) for each in fits]
    found = fit_all(method, chosen, fits)
    return [
        reason_or_fitted
        if isinstance(reason_or_fitted, Exception)
        else measured(experiment, reason_or_fitted)
        for experiment, reason_or_fitted in zip(chosen, found, strict=True)
    ]


def fit_all(
    method: str, chosen: Sequence[Experiment], fits: Sequence[Fit]
) -> Iterable[Fitted | Exception]:
    """The fitted method of each experiment, or the reason why there is none."""
    if len(fits) > 1 and not any(each.watch for each in fits):
        return fit_each(method, chosen)
    return (
        fit_watched(method, experiment, each.watch)
        for experiment, each in zip(chosen, fits, strict=True)
    )


def fit_watched(method: str, experiment: Experiment, watch: Watch | None) -> Fitted | Exception:
    """The fitted method, or the reason why there is none; only CFR can be watched."""
    try:
        return fit(method, experiment) if watch is None else cfr.fit(experiment, watch)
    except (CalibrationError, TrialPruned, MemoryError) as reason:
        return reason


def measured(experiment: Experiment, fitted: Fitted) -> Measured:
    """What the selected classifier of a fitted method comes to."""
    selection = experiment.settings.selection
    predictions = predict(experiment, fitted.classifiers[selection])
    return {
        "seed": experiment.seed,
        "selected_step": fitted.selected_steps.get(selection),
        **{split: measure(experiment, found) for split, found in predictions.items()},
    }


def measure(experiment: Experiment, predictions) -> dict[str, float | None]:
    """The accuracies of one split."""
    found = evaluate(experiment.task, predictions)
    return {name: getattr(found, name) for name in METRICS}
