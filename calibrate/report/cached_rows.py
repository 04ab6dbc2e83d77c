"""The rows of a cache that a report shows, with the features of a sample."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from clip_cfr.cache.format.schema import SPLIT_NAMES, FeatureCache
from clip_cfr.cache.read.reader import open_cache
from clip_cfr.cache.runs.run import Run

# Share of the map's images from each split; the rest of a small split goes to the others.
SHARES = {"test": 0.5, "val": 0.25, "train": 0.25}
CENTROID_ROWS = 5000


@dataclass(frozen=True)
class Sample:
    """Rows with their features.

    Attributes:
        rows: row indices in the cache, ascending.
        features: pooled features, not normalized.
    """

    rows: Int[np.ndarray, " n"]
    features: Float[np.ndarray, "n dim"]


@dataclass(frozen=True)
class CachedRows:
    """What a report shows of a cache.

    Attributes:
        ids: id of each row of the cache.
        labels, groups: class and group of each row.
        splits: index into `SPLIT_NAMES` of each row, as the run used it.
        valid: whether each row has features.
        attribute_names: name of each attribute, at least one.
        initial: arrays of CLIP's own head: `projection` and optionally `bias`.
        map_sample: the rows of the map of embeddings.
        centroid_sample: the test rows over which centroids are taken.
    """

    ids: tuple[str, ...]
    labels: Int[np.ndarray, " rows"]
    groups: Int[np.ndarray, " rows"]
    splits: Int[np.ndarray, " rows"]
    valid: np.ndarray
    attribute_names: tuple[str, ...]
    initial: dict[str, np.ndarray]
    map_sample: Sample
    centroid_sample: Sample

    def count_rows(self, split: str) -> int:
        """Return the number of valid rows of a split."""
        return int((self.valid & (self.splits == SPLIT_NAMES.index(split))).sum())

    def count_groups(self, split: str, num_groups: int) -> list[int]:
        """Return the number of valid rows of each group in a split."""
        chosen = self.valid & (self.splits == SPLIT_NAMES.index(split))
        return np.bincount(self.groups[chosen], minlength=num_groups).tolist()


def read_rows(path: Path, run: Run, num_rows: int) -> CachedRows:
    """Read the rows of a run's cache, and the features of at most `num_rows` for the map.

    Raises:
        CacheError: the cache is damaged.
    """
    rng = np.random.default_rng(0)
    with open_cache(path) as cache:
        splits = splits_of_run(cache, run)
        members = {
            name: np.flatnonzero(cache.valid & (splits == code))
            for code, name in enumerate(SPLIT_NAMES)
        }
        preferred = np.unique(run.calibration_rows.get("row", np.zeros(0, np.int64)))
        chosen = choose_map_rows(rng, members, preferred, num_rows)
        tested = members["test"]
        if len(tested) > CENTROID_ROWS:
            tested = np.sort(rng.choice(tested, CENTROID_ROWS, replace=False))
        names = cache.texts.attribute_names or ("any",)
        initial = {"projection": np.asarray(cache.head.projection)}
        if cache.head.bias is not None:
            initial["bias"] = cache.head.bias
        return CachedRows(
            ids=cache.rows.ids,
            labels=cache.rows.labels,
            groups=cache.rows.labels * len(names) + cache.rows.attributes,
            splits=splits,
            valid=cache.valid,
            attribute_names=names,
            initial=initial,
            map_sample=Sample(chosen, cache.features[chosen]),
            centroid_sample=Sample(tested, cache.features[tested]),
        )


def splits_of_run(cache: FeatureCache, run: Run) -> np.ndarray:
    """Return the split of each row; a run whose cache has no val has drawn it from train."""
    splits = np.array(cache.rows.splits)
    for code, name in enumerate(SPLIT_NAMES):
        if run.predictions:
            splits[run.predictions["row"][run.predictions["split"] == name]] = code
    return splits


def choose_map_rows(
    rng: np.random.Generator,
    members: dict[str, np.ndarray],
    preferred: np.ndarray,
    num_rows: int,
) -> Int[np.ndarray, " chosen"]:
    """Return rows of all splits, ascending, by `SHARES`; all rows if there are not more.

    Up to half of the training rows are of the calibration set.

    Args:
        rng: draws the rows.
        members: row indices by split.
        preferred: rows of the calibration set.
        num_rows: largest number of rows.
    """
    total = sum(map(len, members.values()))
    chosen, left = [], min(num_rows, total)
    # The smallest splits first, so that their unused shares go to the larger ones.
    for name in sorted(SHARES, key=lambda each: len(members[each]) / SHARES[each]):
        rest = sum(SHARES[each] for each in SHARES if each not in dict(chosen))
        size = min(len(members[name]), round(left * SHARES[name] / rest))
        first = np.intersect1d(members[name], preferred) if name == "train" else members[name][:0]
        chosen.append((name, draw_rows(rng, members[name], first, size)))
        left -= size
    return np.sort(np.concatenate([rows for _, rows in chosen]))


def draw_rows(
    rng: np.random.Generator, rows: np.ndarray, first: np.ndarray, size: int
) -> np.ndarray:
    """Return `size` distinct rows, of which up to half are drawn from `first` before the others."""
    if size >= len(rows):
        return rows
    start = rng.choice(first, min(len(first), size // 2), replace=False)
    others = np.setdiff1d(rows, start)
    return np.concatenate([start, rng.choice(others, size - len(start), replace=False)])
