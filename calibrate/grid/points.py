"""Fit points and measure their accuracies; the only part of a grid that computes."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from optuna import TrialPruned

from clip_cfr.calibrate.comparison.compare import predict
from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.experiment import Experiment, StageCache
from clip_cfr.calibrate.core.metrics import Predictions, evaluate
from clip_cfr.calibrate.core.prepared import Prepared
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.core.stage_spec import SHARED_STAGES
from clip_cfr.calibrate.core.train import SegmentCallback
from clip_cfr.calibrate.grid.make_details import make_details
from clip_cfr.calibrate.grid.point_result import METRICS, Accuracies, SeedResult
from clip_cfr.calibrate.methods import cfr, fit
from clip_cfr.calibrate.methods.batched import fit_experiments
from clip_cfr.calibrate.methods.fitted import Fitted

# A stage takes 12 MB at the size of ViT-L.
STAGES_KEPT = 16


@dataclass(frozen=True)
class Fit:
    """One fit to run: a point with one of its seeds.

    Attributes:
        settings: the settings of the point.
        seed: the seed.
        callback: called while CFR trains; may raise TrialPruned to stop it early. None for no call.
        has_details: whether the result has `SeedDetails`.
    """

    settings: Settings
    seed: int
    callback: SegmentCallback | None = None
    has_details: bool = False


@dataclass
class ExperimentCache:
    """Experiments on one task, which share the stages that have equal settings and seeds.

    Attributes:
        prepared: the task.
        size: number of results of each of `SHARED_STAGES` to keep, the most recently used ones.
        recent: cached results by (stage, its settings, seed), the last used one last.
    """

    prepared: Prepared
    size: int
    recent: OrderedDict[tuple, StageCache] = field(default_factory=OrderedDict)

    def get_experiment(self, settings: Settings, seed: int) -> Experiment:
        """Return an experiment with these settings and this seed.

        It shares the stages of earlier experiments that are kept. Nothing is trained.
        """
        shared = {
            stage: self.get_cache((stage, stage.key(settings), seed)) for stage in SHARED_STAGES
        }
        return Experiment(self.prepared, settings, seed, shared=shared)

    def get_cache(self, key: tuple) -> StageCache:
        """Return the cache of a key of `recent`, a new one if there is none."""
        cache = self.recent.setdefault(key, StageCache())
        self.recent.move_to_end(key)
        if len(self.recent) > self.size * len(SHARED_STAGES):
            self.recent.popitem(last=False)
        return cache


def fit_points(
    experiments: ExperimentCache, method: str, fits: Sequence[Fit]
) -> list[SeedResult | Exception]:
    """Run fits and return the result of each, or the error that ended it, in their order.

    Args:
        experiments: the task, and the shared stages of earlier fits.
        method: the method to fit.
        fits: the fits. A fit with a callback fits CFR, regardless of `method`.

    Returns:
        For each fit its accuracies on val and test, or the CalibrationError, TrialPruned or
        MemoryError that ended it. Other exceptions are raised.
    """
    chosen = [experiments.get_experiment(each.settings, each.seed) for each in fits]
    outcomes = run_fits(method, chosen, fits)
    return [
        outcome
        if isinstance(outcome, Exception)
        else measure_seed(experiment, outcome, method, each.has_details)
        for experiment, outcome, each in zip(chosen, outcomes, fits, strict=True)
    ]


def run_fits(
    method: str, experiments: Sequence[Experiment], fits: Sequence[Fit]
) -> Iterable[Fitted | Exception]:
    """Fit a method in each experiment, all together if no fit has a callback.

    A fit with a callback fits CFR, regardless of `method`, see `run_fit`.

    Returns:
        Iterator over the fitted method, or the error that ended the fit, of each experiment.
    """
    if len(fits) > 1 and not any(each.callback for each in fits):
        return fit_together(method, experiments)
    return (
        run_fit(method, experiment, each.callback)
        for experiment, each in zip(experiments, fits, strict=True)
    )


def fit_together(
    method: str, experiments: Sequence[Experiment]
) -> Iterator[Fitted | CalibrationError | MemoryError]:
    """Yield the fitted method of each experiment, in order, or the error that prevented it.

    On a GPU the stages are trained as batches. An experiment that does not fit in memory alone
    gives a MemoryError and does not affect the others.
    """
    done = 0
    while done < len(experiments):
        try:
            for fitted in fit_experiments(method, experiments[done:]):
                done += 1
                yield fitted
        except MemoryError as error:
            done += 1
            # A traceback would keep the arrays of the failed fit in memory.
            yield error.with_traceback(None)


def run_fit(
    method: str, experiment: Experiment, callback: SegmentCallback | None
) -> Fitted | Exception:
    """Fit a method and return it, or the error that ended the fit.

    Args:
        method: the method.
        experiment: the experiment to fit it in.
        callback: called during training; if it is given, CFR is fitted, regardless of `method`.

    Returns:
        The fitted method, or a CalibrationError, TrialPruned or MemoryError.
    """
    try:
        return fit(method, experiment) if callback is None else cfr.fit(experiment, callback)
    except (CalibrationError, TrialPruned, MemoryError) as error:
        return error


def measure_seed(
    experiment: Experiment, fitted: Fitted, method: str, has_details: bool
) -> SeedResult:
    """Return the accuracies on val and test of the classifier of the settings' selection.

    Args:
        experiment: the experiment.
        fitted: the method, fitted in it.
        method: its name.
        has_details: whether to add the details.
    """
    selection = experiment.settings.selection
    predictions = predict(experiment, fitted.classifiers[selection])
    return SeedResult(
        seed=experiment.seed,
        selected_step=fitted.selected_steps.get(selection),
        val=measure_split(experiment, predictions["val"]),
        test=measure_split(experiment, predictions["test"]),
        details=make_details(method, experiment, fitted) if has_details else None,
    )


def measure_split(experiment: Experiment, predictions: Predictions) -> Accuracies:
    """Return the accuracies of one split in [0, 1] by metric, for each of `METRICS`."""
    metrics = evaluate(experiment.task, predictions)
    return {name: getattr(metrics, name) for name in METRICS}
