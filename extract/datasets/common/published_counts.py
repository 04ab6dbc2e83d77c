"""Published numbers of rows, against those that were found."""

from collections.abc import Mapping, Sequence

import numpy as np

from clip_cfr.cache.format.schema import SPLIT_NAMES, Rows


def group_counts(rows: Rows, num_groups: int, num_attributes: int) -> dict[str, list[int]]:
    """Rows of each group (label * num_attributes + attribute) in each split."""
    groups = rows.labels * num_attributes + rows.attributes
    return {
        name: np.bincount(groups[rows.splits == code], minlength=num_groups).tolist()
        for code, name in enumerate(SPLIT_NAMES)
    }


def differences(
    dataset: str, found: Mapping[str, Sequence[int]], published: Mapping[str, Sequence[int]]
) -> tuple[str, ...]:
    """A warning for each part of a data set whose numbers of rows are not the published ones."""
    return tuple(
        f"{dataset}: {part} has {joined(found[part])} rows, published are {joined(published[part])}"
        for part in published
        if list(found[part]) != list(published[part])
    )


def joined(counts: Sequence[int]) -> str:
    """Numbers as they stand in the literature's tables, such as 3498/184/56/1057."""
    return "/".join(map(str, counts))
