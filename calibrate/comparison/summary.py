"""Make the result of a calibration from the fitted methods."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Int

from clip_cfr.calibrate.comparison import warning_signs
from clip_cfr.calibrate.comparison.compare import Comparison, Outcome
from clip_cfr.calibrate.comparison.cross_fit import cross_fit, draw_halves
from clip_cfr.calibrate.comparison.intervals import lowest_accuracy_interval, tally_cells
from clip_cfr.calibrate.comparison.method_result import (
    REPORTED,
    Cost,
    Evaluation,
    MethodResult,
    SeedResult,
)
from clip_cfr.calibrate.comparison.recommendation import (
    REFERENCE,
    Recommendation,
    list_candidates,
    recommend,
)
from clip_cfr.calibrate.comparison.result import (
    Artifacts,
    CacheSummary,
    CalibrationSetSummary,
    Result,
)
from clip_cfr.calibrate.comparison.shared_val import describe_shared_val, find_shared_errors
from clip_cfr.calibrate.comparison.trade import Trade, measure_trade
from clip_cfr.calibrate.comparison.tuning import Tuning
from clip_cfr.calibrate.comparison.versus import Versus, compare_with
from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.inferred_groups import mean_accuracy
from clip_cfr.calibrate.core.metrics import Predictions
from clip_cfr.calibrate.core.settings import WORST_NAMED_GROUP, Settings, Value
from clip_cfr.calibrate.core.task import Task
from clip_cfr.calibrate.drawn_val import DrawnVal
from clip_cfr.calibrate.methods import load_method
from clip_cfr.calibrate.named.embedded import EmbeddedAttributes
from clip_cfr.calibrate.named.summary import (
    has_few_named,
    idle_warnings,
    named_warnings,
    summarize_named,
)

Outcomes = Mapping[str, Sequence[Outcome]]


def summarize(
    task: Task,
    settings: Settings,
    comparison: Comparison,
    seeds: Sequence[int],
    cache: CacheSummary,
    drawn_val: DrawnVal | None = None,
    versus: str | None = None,
    tuning: Tuning | None = None,
    embedded: EmbeddedAttributes | None = None,
    shared_val: str | None = None,
) -> Result:
    """Return the result of a calibration with metrics, recommendation, warnings and artifacts.

    `seconds` is left empty.

    Args:
        task: the task that the methods were fitted on.
        settings: the hyperparameters that were given; their `selection` chooses the reported heads.
        comparison: the fitted methods.
        seeds: the seeds of every method; the first is also that of the halves of val, see
            `cross_fit`.
        cache: summary of the cache of the task.
        drawn_val: how val was drawn, if the cache has none; adds a warning.
        versus: the method to compare the others with on the test split; None compares none. If it
            could not be fitted, there is a warning.
        tuning: how methods were tuned; None if they were not.
        embedded: the attributes named in words; None if none is.
        shared_val: the warning of `describe_drawn_val`; if it is None, the errors of the
            identification head tell whether val shares the correlations of train.
    """
    outcomes = comparison.outcomes
    chosen = {} if tuning is None else tuning.chosen
    judged = judge_candidates(task, outcomes, settings.selection, seeds[0])
    recommendation = recommend(task, judged, settings.selection, cache.class_embeddings)
    shared_val = shared_val or describe_shared_val(outcomes)
    is_shared = shared_val is not None or (
        settings.selection == WORST_NAMED_GROUP
        and has_few_named(task)
        and find_shared_errors(outcomes) is not None
    )
    return Result(
        cache=cache,
        settings=settings,
        seeds=tuple(seeds),
        methods={
            name: summarize_method(task, name, each, settings.selection, chosen.get(name))
            for name, each in outcomes.items()
        },
        calibration_set=summarize_calibration_sets(task, outcomes),
        recommendation=recommendation,
        warnings=(
            *(() if drawn_val is None else (drawn_val.describe(),)),
            *warn_of_missing(outcomes, versus),
            *(() if shared_val is None else (shared_val,)),
            *named_warnings(task),
            *warn_of_idle(task, outcomes, settings.selection),
            *collect_warnings(task, outcomes, settings.selection, is_shared),
        ),
        drawn_val=drawn_val,
        versus=compare_test(task, outcomes, settings.selection, versus),
        tuning=tuning,
        trade=weigh_trade(task, judged, recommendation) if is_shared else None,
        val_is_shared=is_shared,
        named=summarize_named(task, embedded),
        failures=comparison.failures,
        seconds={},
        artifacts=collect_artifacts(outcomes, settings.selection),
    )


def summarize_method(
    task: Task,
    name: str,
    outcomes: Sequence[Outcome],
    selection: str,
    tuned_settings: Mapping[str, Value] | None = None,
) -> MethodResult:
    """Collect the metrics of one method over all seeds.

    Args:
        task: the task that it was fitted on.
        name: the method.
        outcomes: one for each seed; the intervals are those of the first.
        selection: the criterion that selects the head of the intervals.
        tuned_settings: the settings that tuning chose; None if the method was not tuned.
    """
    first = outcomes[0].predictions[selection]["test"]
    return MethodResult(
        name=name,
        group_labels=load_method(name).group_labels,
        seeds=tuple(map(summarize_seed, outcomes)),
        worst_group_interval=worst_interval(task, first, task.groups, task.num_groups),
        worst_class_interval=worst_interval(task, first, task.labels, task.num_classes),
        tuned_settings=tuned_settings,
        cost=summarize_cost(name, outcomes),
    )


def summarize_cost(name: str, outcomes: Sequence[Outcome]) -> Cost:
    """Return the training steps of a method, and the mean time over its seeds."""
    settings = outcomes[0].experiment.settings
    steps = sum(stage.num_steps(settings) for stage in load_method(name).stages)
    return Cost(steps, float(np.mean([each.seconds for each in outcomes])))


def summarize_seed(outcome: Outcome) -> SeedResult:
    """Collect the metrics of one method with one seed, for each criterion that the task offers."""
    steps, chosen = outcome.fitted.selected_steps, outcome.fitted.chosen
    evaluations = {
        selection: Evaluation(
            step=steps.get(selection),
            chosen=chosen.get(selection, {}),
            **outcome.metrics[selection],
        )
        for selection in outcome.metrics
    }
    return SeedResult(outcome.experiment.seed, evaluations)


def worst_interval(
    task: Task, predictions: Predictions, cells: Int[np.ndarray, " n"], num_cells: int
) -> tuple[float, float]:
    """Return the 95 % interval of the lowest accuracy over cells, in [0, 1].

    Args:
        task: the task, whose subjects are the independent units if it has them.
        predictions: the predictions.
        cells: the class or group of each row of the task.
        num_cells: number of cells.
    """
    rows = predictions.rows
    subjects = None if task.subjects is None else task.subjects[rows]
    evidence = tally_cells(predictions.correct(task), cells[rows], subjects, num_cells)
    low, high = lowest_accuracy_interval(evidence)
    return float(low), float(high)


def judge_candidates(
    task: Task, outcomes: Outcomes, selection: str, seed: int
) -> dict[str, Bool[np.ndarray, "seeds val"]]:
    """Return where each method without group labels is right on val rows that did not select it.

    Args:
        task: the task of the outcomes.
        outcomes: one for each seed, by method.
        selection: the criterion that selects heads and compares methods.
        seed: seed of the halves of val, see `cross_fit`.
    """
    rows = task.rows("val")
    subjects = None if task.subjects is None else task.subjects[rows]
    second = draw_halves(np.random.default_rng(seed), task.labels[rows], subjects)
    return {
        name: np.stack([judge(task, each, selection, second) for each in outcomes[name]])
        for name in list_candidates(list(outcomes))
    }


def weigh_trade(
    task: Task,
    correct: Mapping[str, Bool[np.ndarray, "seeds val"]],
    recommendation: Recommendation | None,
) -> Trade | None:
    """Return the trade of the best other method if ERM is recommended, or None.

    The best other method has the highest mean accuracy over inferred groups; CLIP's own head, whose
    errors define them, takes no part. Heads of the first seed are weighed. None if the trade is not
    offered, see `Trade.is_offered`.

    Args:
        task: the task.
        correct: whether each method is right about each row of val, from `judge_candidates`.
        recommendation: the recommendation made with `correct`.
    """
    rivals = [name for name in correct if name not in (REFERENCE, "zeroshot")]
    if recommendation is None or recommendation.method != REFERENCE or not rivals:
        return None
    groups = task.inferred_groups[task.rows("val")]
    values = {name: mean_accuracy(correct[name][0], groups, task.num_classes) for name in rivals}
    best = max(rivals, key=values.__getitem__)
    trade = measure_trade(task, best, REFERENCE, correct[best][0], correct[REFERENCE][0])
    return trade if trade is not None and trade.is_offered else None


def compare_test(
    task: Task, outcomes: Outcomes, selection: str, versus: str | None
) -> Versus | None:
    """Compare every method with `versus` on the test split.

    Return None if it is None or could not be fitted, or if there is no other method.
    """
    if versus not in outcomes or len(outcomes) < 2:
        return None
    correct = {
        name: np.stack([each.predictions[selection]["test"].correct(task) for each in found])
        for name, found in outcomes.items()
    }
    return compare_with(task, correct, versus)


def warn_of_missing(outcomes: Outcomes, versus: str | None) -> list[str]:
    """Return a warning if the method to compare with was not fitted, or is the only one."""
    if versus is None or (versus in outcomes and len(outcomes) > 1):
        return []
    if versus in outcomes:
        return [f"no other method was fitted: nothing is compared with {versus}"]
    return [f"{versus} could not be fitted: no method is compared with it"]


def judge(
    task: Task, outcome: Outcome, selection: str, second: Bool[np.ndarray, " val"]
) -> Bool[np.ndarray, " val"]:
    """Return whether a method is right about each validation row, on rows that did not select it.

    A method without classifiers to select from is judged as it is.
    """
    fitted = outcome.fitted
    if fitted.val_correct is None:
        return outcome.predictions[selection]["val"].correct(task)
    # Hyperparameters have no last value: they are chosen by worst class then, see `chosen_on_val`.
    by = "worst-class" if fitted.chosen and selection == "last" else selection
    return cross_fit(task, fitted.val_correct, by, second)


def summarize_calibration_sets(task: Task, outcomes: Outcomes) -> CalibrationSetSummary | None:
    """Return size and composition of the calibration sets, as means over seeds.

    None if no method uses one. Methods that do use the same one with the same seed, unless tuning
    changed the identification stage of one; it is then that of the first method.

    The attributes of training rows are used for this summary only.
    """
    sets = [each.experiment.calibration_set.rows for each in calibrated_outcomes(outcomes)]
    if not sets:
        return None
    return CalibrationSetSummary(
        size=float(np.mean([len(rows) for rows in sets])),
        per_class=mean_counts([task.labels[rows] for rows in sets], task.num_classes),
        per_group=mean_counts([task.groups[rows] for rows in sets], task.num_groups),
    )


def calibrated_outcomes(outcomes: Outcomes) -> Sequence[Outcome]:
    """Return the outcomes of the first method that uses the calibration set, one for each seed.

    Empty if no fitted method uses the set.
    """
    users = (found for name, found in outcomes.items() if load_method(name).uses_calibration_set)
    return next(users, ())


def mean_counts(cells: Sequence[np.ndarray], num_cells: int) -> tuple[float, ...]:
    """Return the number of occurrences of each index below `num_cells`, as a mean over arrays."""
    counts = [np.bincount(each, minlength=num_cells) for each in cells]
    return tuple(np.mean(counts, axis=0).tolist())


def warn_of_idle(task: Task, outcomes: Outcomes, selection: str) -> list[str]:
    """Return the warnings of `idle_warnings` by the first seed of ERM; none without it."""
    if not task.named or REFERENCE not in outcomes:
        return []
    first = outcomes[REFERENCE][0].predictions[selection]["val"]
    return idle_warnings(task, first.correct(task))


def collect_warnings(task: Task, outcomes: Outcomes, selection: str, is_shared: bool) -> list[str]:
    """Return the warnings about the task, then those about CFR.

    If val shares the correlations of train (`is_shared`), CFR is not said to lack a gain there, and
    nothing is said of a missing attribute, which the warning about val names.

    A warning about CFR appears once; with several seeds it starts with those that it is about, as
    in `seeds 0, 2: ...`.
    """
    cfr = outcomes.get("cfr", ())
    erm = outcomes.get("erm")
    seeds: dict[str, list[int]] = {}
    for index, outcome in enumerate(cfr):
        for warning in seed_warnings(outcome, erm and erm[index], selection, is_shared):
            seeds.setdefault(warning, []).append(outcome.experiment.seed)
    prefixed = [
        (f"{name_seeds(of)}: " if len(cfr) > 1 else "") + warning for warning, of in seeds.items()
    ]
    return warning_signs.task_warnings(task, is_shared) + prefixed


def seed_warnings(cfr: Outcome, erm: Outcome | None, selection: str, is_shared: bool) -> list[str]:
    """Return the warnings about CFR with one seed, compared with ERM if it was fitted.

    Without `erm` they are about the calibration set only.
    """
    trained = cfr.experiment
    found = warning_signs.calibration_set_warnings(trained.task, trained.calibration_set)
    if erm is None:
        return found
    ours, theirs = (each.metrics[selection]["val"] for each in (cfr, erm))
    # No criterion selects the last step: worst-class accuracy shows whether its head over-fits.
    by, log = "worst-class" if selection == "last" else selection, cfr.fitted.history
    return found + warning_signs.cfr_warnings(ours, theirs, log, by, is_shared)


def name_seeds(seeds: Sequence[int]) -> str:
    """Return the seeds, at least one, as text: `seed 0` or `seeds 0, 2`."""
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def collect_artifacts(outcomes: Outcomes, selection: str) -> Artifacts:
    """Collect heads, logs, predictions and calibration rows of every method and seed.

    Heads and predictions are those that `selection` selects.
    """
    runs = {(name, each.experiment.seed): each for name, done in outcomes.items() for each in done}
    chosen = {key: run.fitted.classifiers[selection] for key, run in runs.items()}
    calibrated = [each.experiment for each in calibrated_outcomes(outcomes)]
    return Artifacts(
        heads={key: chosen[key].arrays(run.experiment) for key, run in runs.items()},
        formulas={
            name: chosen[name, done[0].experiment.seed].formula for name, done in outcomes.items()
        },
        histories={key: offered_history(run) for key, run in runs.items() if run.fitted.history},
        predictions={
            key: {split: run.predictions[selection][split] for split in REPORTED}
            for key, run in runs.items()
        },
        calibration_rows={each.seed: each.calibration_set.rows for each in calibrated},
        calibration_predictions={each.seed: predict_calibration_set(each) for each in calibrated},
    )


def predict_calibration_set(experiment: Experiment) -> Int[np.ndarray, " rows"]:
    """Return the class that the source head predicts for each row of the calibration set."""
    logits = experiment.train_logits(experiment.settings.calibration_source)
    train = experiment.task.rows("train")
    return logits[np.searchsorted(train, experiment.calibration_set.rows)].argmax(axis=1)


def offered_history(run: Outcome) -> dict[str, np.ndarray]:
    """Return the log of a fit, without the criterion that needs attributes named in words."""
    left_out = () if run.experiment.task.named else (f"val {WORST_NAMED_GROUP}",)
    return {name: each for name, each in run.fitted.history.items() if name not in left_out}
