"""Accuracies of a head on the groups of the test split, from the metrics in its run."""

from typing import Any, NamedTuple

from scipy.stats import binomtest

from clip_cfr.extract.export.selected_head import SelectedHead

ZERO_SHOT = "zeroshot"


class GroupAccuracy(NamedTuple):
    """Accuracy of a head on the images of a group.

    Attributes:
        label: name of the class.
        attribute: name of the attribute.
        count: number of images.
        zero_shot: accuracy of CLIP's own head, in [0, 1]; None if the run did not measure it.
        accuracy: accuracy of the head, in [0, 1].
        low: lower end of its 95 % interval (Clopper-Pearson), as if images were independent.
        high: upper end.
    """

    label: str
    attribute: str
    count: int
    zero_shot: float | None
    accuracy: float
    low: float
    high: float


def unit_of_groups(head: SelectedHead) -> str:
    """Return `group`, or `class` if the images have no attribute, so that groups are classes."""
    groups = seed_metrics(head, head.method)["groups"]
    return "group" if len({group["attribute"] for group in groups}) > 1 else "class"


def group_accuracies(head: SelectedHead) -> list[GroupAccuracy]:
    """Return the accuracies on each group with images in the test split, in the run's order."""
    groups = seed_metrics(head, head.method)["groups"]
    own = seed_metrics(head, ZERO_SHOT)
    zero_shot = own["groups"] if own else [{"accuracy": None}] * len(groups)
    return [
        GroupAccuracy(
            group["label"],
            str(group["attribute"]),
            group["n"],
            before["accuracy"],
            group["accuracy"],
            *exact_interval(group["accuracy"], group["n"]),
        )
        for group, before in zip(groups, zero_shot, strict=True)
        if group["n"]
    ]


def seed_metrics(head: SelectedHead, method: str) -> dict[str, Any] | None:
    """Return the test metrics of a method with the seed of a head; None if the run has none."""
    metrics = head.run.metrics
    found = metrics["methods"].get(method)
    seeds = {each["seed"]: each for each in found["seeds"]} if found else {}
    if head.seed not in seeds:
        return None
    return seeds[head.seed]["by_selection"][metrics["selection"]]["test"]


def exact_interval(accuracy: float, count: int) -> tuple[float, float]:
    """Return the Clopper-Pearson 95 % interval of an accuracy on `count` independent images."""
    found = binomtest(round(accuracy * count), count).proportion_ci(0.95, method="exact")
    return float(found.low), float(found.high)
