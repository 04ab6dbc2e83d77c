"""The sentences below the tables of a result; the recommendation is the last."""

from collections.abc import Mapping, Sequence
from typing import Any

from clip_cfr.calibrate.comparison.result import CLASS_MEANS, Result
from clip_cfr.calibrate.comparison.titles import method_title
from clip_cfr.calibrate.comparison.tuning import tuning_notes
from clip_cfr.calibrate.core.named_groups import FEW_ROWS, SMALLEST
from clip_cfr.calibrate.methods import METHOD_TITLES, load_method

ORACLE = "oracle: the head with the best validation worst-group accuracy, which needs group labels."
INFERRED_GROUPS = "inferred-groups"
INFERRED_GROUPS_NOTE = (
    f"{INFERRED_GROUPS}: the mean of worst-class accuracy, average accuracy, and mean accuracy "
    "over the images that CLIP's own head gets right and those that it gets wrong, in each class."
)
CLASS_MEANS_NOTE = (
    "class means: not zero-shot. The class embeddings are means over the training images, so this "
    "column has seen the training labels."
)


def notes(result: Result) -> list[str]:
    """Return the lines below the tables; the recommendation is the last.

    Before it come, where they apply, notes on the selection, the oracle, class means, the
    calibration set, chosen hyperparameters, the tuning and durations.
    """
    lines = selection_notes(result.selection)
    if result.cache.has_attributes:
        lines.append(ORACLE)
    if result.cache.class_embeddings == CLASS_MEANS and "zeroshot" in result.methods:
        lines.append(CLASS_MEANS_NOTE)
    if result.calibration_set is not None:
        lines.append(describe_calibration_set(result))
    lines += small_named_notes(result) + describe_stops(result) + describe_choices(result)
    lines += tuning_notes(result.tuning, result.methods)
    lines += describe_costs(result)
    if result.seconds:
        seconds = ", ".join(f"{name} {value:.1f}" for name, value in result.seconds.items())
        lines.append(f"Seconds: {seconds}")
    return [*lines, format_recommendation(result)]


def selection_notes(selection: str) -> list[str]:
    """Return the line that defines a criterion of selection; none if its name says it."""
    return [INFERRED_GROUPS_NOTE] if selection == INFERRED_GROUPS else []


def small_named_notes(result: Result) -> list[str]:
    """Return the line that names the groups in words with too few test images to count, if any."""
    groups = named_groups(result, "test")
    small = list_small(groups, SMALLEST)
    if not small or len(small) == len(groups):
        return []
    return [
        f"worst group named in words: groups of fewer than {SMALLEST} test images do not count: "
        f"{', '.join(small)}."
    ]


def named_groups(result: Result, split: str) -> Sequence[Mapping[str, Any]]:
    """Return the groups named in words on a split, with their sizes; empty without any."""
    first = next(iter(result.methods.values()))
    return first.mean(result.selection, split).get("named_groups", ())


def list_small(groups: Sequence[Mapping[str, Any]], limit: int) -> list[str]:
    """Return the groups with fewer images than a limit, such as `2 of (cat, on water)`."""
    return [
        f"{each['n']} of ({each['label']}, {each['value']})" for each in groups if each["n"] < limit
    ]


def describe_costs(result: Result) -> list[str]:
    """Return a sentence with training steps and seconds of each method, if they are known.

    For example, `Training steps and seconds for each seed: ERM 2,000 and 1.3, CFR 2,400 and 4.0.`.
    """
    pairs = zip(result.titles, result.methods.values(), strict=True)
    costs = [
        f"{title} {method.cost.steps:,} and {method.cost.seconds:.1f}"
        for title, method in pairs
        if method.cost is not None
    ]
    if not costs:
        return []
    memory = "" if result.peak_memory_mb is None else f" Peak memory: {result.peak_memory_mb} MB."
    return [
        f"Training steps and seconds for each seed: {', '.join(costs)}. A stage that methods share "
        f"takes time once, for the first of them.{memory}"
    ]


def describe_calibration_set(result: Result) -> str:
    """Return a sentence about the size, classes and groups of the calibration set.

    For example, `Calibration set: 40 training images that the identification head misclassifies:
    30 of 'cat' (10 day, 20 night), 10 of 'dog' (5 day, 5 night).`. The result must have a
    calibration set.
    """
    found = result.calibration_set
    parts = []
    for index, name in enumerate(result.cache.class_names):
        groups = [
            f"{number(n)} {attribute}"
            for (label, attribute), n in zip(result.cache.groups, found.per_group, strict=True)
            if label == name
        ]
        inside = f" ({', '.join(groups)})" if len(groups) > 1 else ""
        parts.append(f"{number(found.per_class[index])} of '{name}'{inside}")
    heads = {"identification": "the identification head", "zeroshot": "CLIP"}
    source = heads[result.settings.calibration_source]
    over = ", counted as often as they were drawn" if result.settings.resample else ""
    over += ", mean over seeds" if len(result.seeds) > 1 else ""
    return (
        f"Calibration set: {number(found.size)} training images that {source} misclassifies{over}: "
        f"{', '.join(parts)}."
    )


def describe_stops(result: Result) -> list[str]:
    """Return a sentence about each stage that stopped before its last step."""
    if not result.settings.patience:
        return []
    stages = {
        name: stage.num_steps(result.settings)
        for name in result.methods
        if (stage := load_method(name).stage) is not None
    }
    return [
        f"{METHOD_TITLES[name]} stopped after {' and '.join(f'{step:,}' for step in found)} of "
        f"{steps:,} steps: {result.settings.patience} evaluations were not better."
        for name, steps in stages.items()
        if min(found := [each.step for each in result.methods[name].evaluations("last")]) < steps
    ]


def describe_choices(result: Result) -> list[str]:
    """Return a line with the hyperparameters of each method that the selection chose on val.

    For example, `Chosen on val: WiSE-FT alpha 0.5; AFR gamma 8, penalty 1 / gamma 4, penalty 1.`,
    with the different choices of the seeds in their order; no line if no method chooses.
    """
    parts = []
    for name, method in result.methods.items():
        chosen = [
            ", ".join(f"{key} {value:g}" for key, value in each.chosen.items())
            for each in method.evaluations(result.selection)
        ]
        if any(chosen):
            parts.append(f"{METHOD_TITLES[name]} {' / '.join(dict.fromkeys(chosen))}")
    return [f"Chosen on val: {'; '.join(parts)}."] if parts else []


def number(value: float) -> str:
    """Return a mean count as text: `12`, or `12.5` with one decimal if it is not an integer."""
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.1f}"


def describe_trade(result: Result) -> str:
    """Return the sentences about the trade, which the result must have, instead of a verdict."""
    names = (result.trade.method, result.trade.over)
    title, reference = (method_title(name, result.cache.class_embeddings) for name in names)
    undecided = f"{reference} or {title}; val cannot decide, as it {why_undecided(result)}"
    return f"{undecided}. {result.trade.describe(title, reference)}"


def why_undecided(result: Result) -> str:
    """Return why val cannot decide, as a verb with its object, and what to do if that is known."""
    few = list_small(named_groups(result, "val"), FEW_ROWS)
    if not few:
        return "shares the correlations of train"
    return (
        f"has too few images of groups named in words: {', '.join(few)}; bring each to {FEW_ROWS} "
        "or more"
    )


def format_recommendation(result: Result) -> str:
    """Return a line with the recommendation and its reason.

    It starts with `Recommendation: use TITLE.`, or, with a trade, with the two methods that val
    cannot decide between, or with `Recommendation: none.` followed by the reason and a remedy.
    """
    head = result.recommended_head
    if result.recommendation is not None:
        title = method_title(result.recommendation.method, result.cache.class_embeddings)
        reason = f"{result.recommendation.reason}."
        if result.trade is not None:
            return f"Recommendation: {describe_trade(result)} {reason}"
        limit = (
            ", as far as val can see: it may share the correlations of train"
            if result.is_blind_verdict
            else ""
        )
        return f"Recommendation: use {title}{limit}. {reason}"
    if head is None:
        return (
            "Recommendation: none. Only methods without group labels are recommended; add for "
            "example --method erm --method cfr."
        )
    title = method_title(head[0], result.cache.class_embeddings)
    return (
        f"Recommendation: none. {title} is the only method without group labels, so there is "
        "nothing to compare it with; add for example --method erm --method cfr."
    )
