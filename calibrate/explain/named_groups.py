"""Accuracy of the methods of a run in groups named in words, on the explained split."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from clip_cfr.cache.errors import FieldError
from clip_cfr.cache.format.schema import FeatureCache
from clip_cfr.cache.runs.encoding import class_indices
from clip_cfr.cache.runs.run import NAMED_ATTRIBUTES, Run
from clip_cfr.calibrate.core.metrics import named_metrics
from clip_cfr.calibrate.core.named_groups import NamedAttribute, number_cells
from clip_cfr.calibrate.explain.images import Images
from clip_cfr.calibrate.explain.result import NamedAccuracies, NamedGroup
from clip_cfr.calibrate.named.embedded import EmbeddedAttributes, check_some, name_images
from clip_cfr.calibrate.named.summary import TrueGroups, summarize_attribute


@dataclass(frozen=True)
class NamedImages:
    """The attributes named in words, with the value of each image that is explained.

    Attributes:
        attributes: the attributes, with values of the rows of the cache.
        margin: smallest margin of a row that got a value.
        phrases: the phrases of all values, in lower case (casefold).
        truth: class and attribute of each row of the cache.
    """

    attributes: tuple[NamedAttribute, ...]
    margin: float
    phrases: frozenset[str]
    truth: TrueGroups


def find_named(
    run: Run,
    cache: FeatureCache,
    rows: Int[np.ndarray, " rows"],
    split: str,
    embedded: EmbeddedAttributes | None,
) -> NamedImages | None:
    """Return the attributes that the user names, or else those of the run; None without any.

    A run has values of training images only if a method needed them; without, there is no value.

    Args:
        run: the run.
        cache: its open cache.
        rows: the explained rows, ascending, of the split `split`.
        embedded: the attributes that the user names; None for none.

    Raises:
        CalibrationError: no row has a value of an attribute.
        FieldError: the values in the run are damaged.
    """
    if embedded is not None:
        head = cache.head
        named = name_images(embedded, cache.features, rows, head.projection, head.bias)
        check_some(named, rows, split, embedded.margin)
        asked, margin = [each.to_json() for each in embedded.attributes], embedded.margin
    elif run.config.get("named"):
        asked, margin = run.config["named"]["attributes"], run.config["named"]["margin"]
        named = read_values(run, asked, len(cache.rows.ids))
        if np.isnan(named[0].margins[rows]).any():
            return None
    else:
        return None
    phrases = (phrase for each in asked for one in each["values"].values() for phrase in one)
    lower = frozenset(each.casefold() for each in phrases)
    return NamedImages(named, margin, lower, TrueGroups.from_cache(cache))


def read_values(run: Run, asked: Sequence[Mapping], num_rows: int) -> tuple[NamedAttribute, ...]:
    """Return the attributes of a run, with the values of the rows that it has.

    Args:
        run: the run.
        asked: the attributes in its configuration.
        num_rows: number of rows of its cache.

    Raises:
        FieldError: a column is missing, or has a value that the attribute has not.
    """
    table = run.named_attributes
    try:
        return tuple(read_attribute(table, each, num_rows) for each in asked)
    except KeyError as error:
        raise FieldError(NAMED_ATTRIBUTES, f"the column {error}", ", ".join(table)) from error


def read_attribute(
    table: Mapping[str, np.ndarray], asked: Mapping, num_rows: int
) -> NamedAttribute:
    """Return one attribute; see `read_values`."""
    name, values = asked["name"], tuple(asked["values"])
    indices, margins = np.full(num_rows, -1, np.int32), np.full(num_rows, np.nan, np.float32)
    found = class_indices(NAMED_ATTRIBUTES, table[f"value: {name}"], ("", *values)) - 1
    indices[table["row"]] = found
    margins[table["row"]] = table[f"margin: {name}"]
    return NamedAttribute(name, values, indices, margins)


def measure_named(
    named: NamedImages | None, images: Images, split: str
) -> tuple[NamedAccuracies, ...]:
    """Return the accuracy of each method in the groups of each attribute; nothing for None."""
    if named is None:
        return ()
    return tuple(measure_attribute(named, each, images, split) for each in named.attributes)


def measure_attribute(
    named: NamedImages, attribute: NamedAttribute, images: Images, split: str
) -> NamedAccuracies:
    """Return the accuracies in the groups of one attribute."""
    truth = named.truth
    summary = summarize_attribute(truth, attribute, {split: images.rows})[split]
    cells = number_cells(truth.labels, (attribute,), len(truth.class_names))[images.rows]
    found = {
        method: named_metrics((attribute,), truth.class_names, cells, predicted == images.labels)[
            "named_groups"
        ]
        for method, predicted in images.predicted.items()
    }
    groups = tuple(
        NamedGroup(
            each[0].label,
            each[0].value,
            each[0].n,
            {method: one.accuracy for method, one in zip(found, each, strict=True)},
        )
        for each in zip(*found.values(), strict=True)
    )
    return NamedAccuracies(attribute.name, named.margin, summary, groups)
