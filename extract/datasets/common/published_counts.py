"""Row counts of a data set on disk, compared with the published ones."""

from collections.abc import Mapping, Sequence

import numpy as np

from clip_cfr.cache.format.schema import SPLIT_NAMES, Rows


def count_groups(rows: Rows, num_groups: int, num_attributes: int) -> dict[str, list[int]]:
    """Return the number of rows of each group, by the name of the split (train, val, test).

    The index of a group is label * num_attributes + attribute; there are `num_groups` numbers in
    each list, or more if a row has a larger group.
    """
    groups = rows.labels * num_attributes + rows.attributes
    return {
        name: np.bincount(groups[rows.splits == code], minlength=num_groups).tolist()
        for code, name in enumerate(SPLIT_NAMES)
    }


def compare_counts(
    dataset: str, found: Mapping[str, Sequence[int]], published: Mapping[str, Sequence[int]]
) -> tuple[str, ...]:
    """Return a warning for each part of a data set whose counts differ from the published ones.

    Empty if all are equal.

    Args:
        dataset: name of the data set.
        found, published: row counts by part, such as those of the groups by split. Only the parts
            in `published` are compared.
    """
    return tuple(
        f"{dataset}: {part} has {format_counts(found[part])} "
        f"{'row' if list(found[part]) == [1] else 'rows'}, "
        f"the published counts are {format_counts(published[part])}"
        for part in published
        if list(found[part]) != list(published[part])
    )


def format_counts(counts: Sequence[int]) -> str:
    """Return counts separated by slashes as in the literature, such as `3498/184/56/1057`."""
    return "/".join(map(str, counts))
