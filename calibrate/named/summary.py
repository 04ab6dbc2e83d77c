"""Summary of attributes named in words: rows of each value, and agreement with true attributes."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from jaxtyping import Bool, Int
from scipy.special import chdtrc

from clip_cfr.cache.format.schema import FeatureCache
from clip_cfr.calibrate.core.named_groups import (
    FEW_ROWS,
    SMALLEST,
    NamedAttribute,
    count_cells,
    count_rows,
    number_cells,
)
from clip_cfr.calibrate.core.task import Task
from clip_cfr.calibrate.named.embedded import EmbeddedAttributes
from clip_cfr.calibrate.named.request import WordAttribute

REPORTED = ("val", "test")
SHOWN_GROUPS = 6
# Accuracies of the values of an attribute differ if equal ones do so with this probability.
IDLE_LEVEL = 0.05


@dataclass(frozen=True)
class GroupAgreement:
    """How often the rows of one true group have the named value that stands for its attribute.

    Attributes:
        label, attribute: names of class and attribute of the group.
        value: the named value that stands for the attribute; None if none does.
        n: rows of the group that have a named value.
        agreement: share of them with this value, in [0, 1]; None if `n` is 0.
    """

    label: str
    attribute: str
    value: str | None
    n: int
    agreement: float | None


@dataclass(frozen=True)
class SplitSummary:
    """The named values of one split.

    Attributes:
        counts: rows of each value, in the order of the values.
        left_out: rows without a value, because their margin is below the threshold.
        agreement: share of the rows with a value that agrees with the attribute of the cache; None
            if the cache has no attributes, or no row has a value.
        groups: agreement in each true group, in the order of the group index; empty without
            attributes in the cache.
    """

    counts: tuple[int, ...]
    left_out: int
    agreement: float | None
    groups: tuple[GroupAgreement, ...]

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the summary from a dictionary of its fields."""
        groups = tuple(GroupAgreement(**each) for each in values["groups"])
        return cls(**{**values, "counts": tuple(values["counts"]), "groups": groups})


@dataclass(frozen=True)
class NamedSummary:
    """Attributes named in words, and the rows that they name.

    Attributes:
        attributes: the attributes with their phrases.
        margin: smallest margin of a row that got a value.
        templates: sentences that the phrases were put into.
        options: the command line options that name the attributes.
        splits: for each attribute, its summary by split (`val`, `test`).
    """

    attributes: tuple[WordAttribute, ...]
    margin: float
    templates: tuple[str, ...]
    options: tuple[str, ...]
    splits: tuple[Mapping[str, SplitSummary], ...]

    def to_json(self) -> dict[str, Any]:
        """Return the attributes with their summaries, in JSON types."""
        return {
            "margin": self.margin,
            "templates": list(self.templates),
            "options": list(self.options),
            "attributes": [
                each.to_json() | {split: asdict(found) for split, found in splits.items()}
                for each, splits in zip(self.attributes, self.splits, strict=True)
            ],
        }

    def request_json(self) -> dict[str, Any]:
        """Return the attributes as they were named, without the rows, in JSON types."""
        return {
            "attributes": [each.to_json() for each in self.attributes],
            "margin": self.margin,
            "templates": list(self.templates),
            "options": list(self.options),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the summary that `to_json` wrote; raise KeyError if a key is missing."""
        return cls(
            attributes=tuple(
                WordAttribute(
                    each["name"], tuple(each["values"]), tuple(map(tuple, each["values"].values()))
                )
                for each in values["attributes"]
            ),
            margin=values["margin"],
            templates=tuple(values["templates"]),
            options=tuple(values["options"]),
            splits=tuple(
                {split: SplitSummary.from_json(each[split]) for split in REPORTED}
                for each in values["attributes"]
            ),
        )


@dataclass(frozen=True)
class TrueGroups:
    """Class and attribute of each row, by which agreement is measured and nothing else.

    Attributes:
        labels, attributes: of each row of the cache.
        class_names, attribute_names: names by index; one attribute name if images have none.
    """

    labels: Int[np.ndarray, " n"]
    attributes: Int[np.ndarray, " n"]
    class_names: tuple[str, ...]
    attribute_names: tuple[str, ...]

    @classmethod
    def from_cache(cls, cache: FeatureCache) -> Self:
        """Return those of an open cache."""
        rows, texts = cache.rows, cache.texts
        names = texts.attribute_names or ("any",)
        return cls(rows.labels, rows.attributes, texts.class_names, names)


def summarize_named(task: Task, embedded: EmbeddedAttributes | None) -> NamedSummary | None:
    """Return the summary of the named attributes of a task; None if none is named."""
    if embedded is None:
        return None
    truth = TrueGroups(task.labels, task.attributes, task.class_names, task.attribute_names)
    return summarize(truth, task.named, {each: task.rows(each) for each in REPORTED}, embedded)


def summarize(
    truth: TrueGroups,
    named: Sequence[NamedAttribute],
    rows: Mapping[str, Int[np.ndarray, " rows"]],
    embedded: EmbeddedAttributes,
) -> NamedSummary:
    """Return the summary of named attributes.

    Args:
        truth: class and attribute of each row.
        named: the attributes, in the order of `embedded`.
        rows: the rows of `val` and of `test`.
        embedded: the attributes as they were named.
    """
    return NamedSummary(
        embedded.attributes,
        embedded.margin,
        embedded.templates,
        embedded.options,
        tuple(summarize_attribute(truth, each, rows) for each in named),
    )


def summarize_attribute(
    truth: TrueGroups, named: NamedAttribute, rows: Mapping[str, Int[np.ndarray, " rows"]]
) -> dict[str, SplitSummary]:
    """Return the summaries of one attribute by split; `rows` are those of each split."""
    matches = None
    if len(truth.attribute_names) > 1:
        matches = match_values(truth, named, np.concatenate(list(rows.values())))
    return {split: summarize_split(truth, named, matches, each) for split, each in rows.items()}


def match_values(
    truth: TrueGroups, named: NamedAttribute, rows: Int[np.ndarray, " rows"]
) -> Int[np.ndarray, " attributes"]:
    """Return the named value that stands for each attribute of the cache; -1 if none does.

    Of all one-to-one assignments it is that of most agreement on `rows`, where each attribute
    counts the same.
    """
    from scipy.optimize import linear_sum_assignment

    rows = rows[named.indices[rows] >= 0]
    table = np.zeros((len(truth.attribute_names), len(named.values)))
    np.add.at(table, (truth.attributes[rows], named.indices[rows]), 1)
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    attributes, values = linear_sum_assignment(shares, maximize=True)
    matches = np.full(len(truth.attribute_names), -1)
    matches[attributes] = values
    return matches


def summarize_split(
    truth: TrueGroups,
    named: NamedAttribute,
    matches: Int[np.ndarray, " attributes"] | None,
    rows: Int[np.ndarray, " rows"],
) -> SplitSummary:
    """Return the summary of one attribute on the rows of a split; for `matches` see `match_values`.

    Without attributes in the cache, `matches` is None.
    """
    has_value = named.indices[rows] >= 0
    left_out, rows = int((~has_value).sum()), rows[has_value]
    values = named.indices[rows]
    counts = tuple(np.bincount(values, minlength=len(named.values)).tolist())
    if matches is None:
        return SplitSummary(counts, left_out, None, ())
    agrees = values == matches[truth.attributes[rows]]
    names = [None if match < 0 else named.values[match] for match in matches]
    groups = tuple(
        summarize_group(
            (label, attribute),
            names[j],
            agrees[(truth.labels[rows] == i) & (truth.attributes[rows] == j)],
        )
        for i, label in enumerate(truth.class_names)
        for j, attribute in enumerate(truth.attribute_names)
    )
    return SplitSummary(counts, left_out, float(agrees.mean()) if len(rows) else None, groups)


def summarize_group(
    name: tuple[str, str], value: str | None, agrees: Bool[np.ndarray, " rows"]
) -> GroupAgreement:
    """Return the agreement in one true group.

    Args:
        name: names of its class and attribute.
        value: the named value that stands for the attribute; None if none does.
        agrees: whether each row of the group with a value agrees.
    """
    return GroupAgreement(
        *name,
        value=value,
        n=len(agrees),
        agreement=float(agrees.mean()) if len(agrees) else None,
    )


def has_few_named(task: Task) -> bool:
    """Return whether a group named in words has fewer than `FEW_ROWS` validation rows."""
    counts = count_rows(task.named_cells[task.rows("val")], task.num_named_cells)
    return bool((counts[:-1] < FEW_ROWS).any())


def named_warnings(task: Task) -> list[str]:
    """Return a warning for each named attribute of which groups are missing or small in val."""
    return [
        f"groups named in words with fewer than {SMALLEST} validation images: {shorten(small)}; "
        "selection by worst-named-group then takes a mean with average and worst-class accuracy: "
        f"add such images to val, or describe the values of {each.name!r} by other words"
        for each in task.named
        if (small := list_small(task, each))
    ]


def idle_warnings(task: Task, correct: Bool[np.ndarray, " val"]) -> list[str]:
    """Return a warning for each named attribute whose values have nothing to do with the errors.

    That is so if ERM's accuracy differs between the values in no class beyond noise: by the
    chi-squared test of each class, with Bonferroni's correction. Attributes of which groups are
    small have a warning of their own, see `named_warnings`.

    Args:
        task: the task.
        correct: whether ERM is right about each validation row.
    """
    rows = task.rows("val")
    labels = task.labels[rows]
    return [
        f"ERM's validation accuracy differs between the values of {each.name!r} in no class beyond "
        "noise: these words do not describe the images that it misclassifies, or val has too few "
        "of them; the command explain suggests words"
        for each in task.named
        if not list_small(task, each)
        and least_p_value(labels, each.indices[rows], correct) * task.num_classes > IDLE_LEVEL
    ]


def least_p_value(
    labels: Int[np.ndarray, " rows"],
    values: Int[np.ndarray, " rows"],
    correct: Bool[np.ndarray, " rows"],
) -> float:
    """Return the least p-value, over classes, of equal accuracy for all values.

    Args:
        labels: class of each row.
        values: value of each row; rows of a negative one are left out.
        correct: whether each row is right.
    """
    p_values = [1.0]
    for label in np.unique(labels):
        chosen = (labels == label) & (values >= 0)
        present, cells = np.unique(values[chosen], return_inverse=True)
        right = correct[chosen]
        counts, share = np.bincount(cells), right.mean() if len(right) else 0.0
        if len(present) > 1 and 0 < share < 1:
            hits = np.bincount(cells, weights=right)
            statistic = ((hits - counts * share) ** 2 / (counts * share * (1 - share))).sum()
            p_values.append(float(chdtrc(len(present) - 1, statistic)))
    return min(p_values)


def list_small(task: Task, named: NamedAttribute) -> list[str]:
    """Return the groups of an attribute with fewer than `SMALLEST` validation rows, by name."""
    cells = number_cells(task.labels, (named,), task.num_classes)[task.rows("val")]
    counts = count_rows(cells, count_cells((named,), task.num_classes))[:-1]
    return [
        f"({task.class_names[label]}, {named.values[value]})"
        for label, value in np.argwhere(counts.reshape(task.num_classes, -1) < SMALLEST)
    ]


def shorten(names: Sequence[str]) -> str:
    """Return the first names, and the number of the others."""
    more = len(names) - SHOWN_GROUPS
    return ", ".join(names[:SHOWN_GROUPS]) + (f" and {more} more" if more > 0 else "")
