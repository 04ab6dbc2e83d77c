"""One pass over features: which rows are usable, and the sum of the embeddings of each class."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int

from clip_cfr.cache.format.identity import IdentityMatrix
from clip_cfr.cache.format.invariants import MAX_FEATURE, find_moderate_rows
from clip_cfr.cache.format.layout import ArraySource
from clip_cfr.cache.wording import agree
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.importing.arrays.sources import iterate_blocks

MAX_NAMED_ROWS = 10
Projection = Float32[np.ndarray, "dim embedding"] | IdentityMatrix


@dataclass(frozen=True)
class Scan:
    """The findings of one pass over features.

    Attributes:
        finite: (n,) whether all numbers of a row are finite.
        moderate: (n,) whether no number is too large for sums of squares in float32
            (`MAX_FEATURE`); true for rows that are not finite, which count as such only.
        nonzero: (n,) whether any number of a row is not zero.
        class_sums: sum of the unit-length embeddings of the usable training rows of each class;
            zeros for a class without any.
    """

    finite: Bool[np.ndarray, " n"]
    moderate: Bool[np.ndarray, " n"]
    nonzero: Bool[np.ndarray, " n"]
    class_sums: Float64[np.ndarray, "classes embedding"]

    @property
    def usable(self) -> Bool[np.ndarray, " n"]:
        """(n,) whether a row is finite, moderate and not all zeros."""
        return self.finite & self.moderate & self.nonzero


def scan_features(
    features: ArraySource,
    training_labels: Int[np.ndarray, " n"],
    num_classes: int,
    projection: Projection,
) -> Scan:
    """Read features once, block by block, and return which rows are usable and the class sums.

    Args:
        features: (n, dim).
        training_labels: class of each row, -1 for rows outside the training split.
        num_classes: number of classes.
        projection: the initial projection, of which the embeddings are the outputs.
    """
    finite, moderate, nonzero = (np.zeros(features.shape[0], bool) for _ in range(3))
    sums = np.zeros((num_classes, projection.shape[1]))
    for start, block in iterate_blocks(features):
        rows = slice(start, start + len(block))
        finite[rows], nonzero[rows] = np.isfinite(block).all(axis=1), block.any(axis=1)
        moderate[rows] = find_moderate_rows(block) | ~finite[rows]
        usable = finite[rows] & moderate[rows] & nonzero[rows]
        labels = np.where(usable, training_labels[rows], -1)
        add_to_sums(sums, block, labels, projection)
    return Scan(finite, moderate, nonzero, sums)


def add_to_sums(
    sums: Float64[np.ndarray, "classes embedding"],
    block: Float[np.ndarray, "rows dim"],
    labels: Int[np.ndarray, " rows"],
    projection: Projection,
) -> None:
    """Add the unit-length embeddings of rows to the sums of their classes, in place.

    Rows with label -1, and rows that the projection maps to zero, are left out.
    """
    is_used = labels >= 0
    if not is_used.any():
        return
    embeddings, labels = block[is_used].astype(np.float32), labels[is_used]
    if not isinstance(projection, IdentityMatrix):
        embeddings = embeddings @ projection
    # In float64, in which the squares of small numbers are not zero.
    squares = np.einsum("ij,ij->i", embeddings, embeddings, dtype=np.float64)
    lengths = np.sqrt(squares).astype(np.float32)[:, None]
    # A row that the projection maps to zero has no direction.
    embeddings = np.divide(embeddings, lengths, out=np.zeros_like(embeddings), where=lengths > 0)
    for label in np.unique(labels):
        sums[label] += embeddings[labels == label].sum(axis=0, dtype=np.float64)


def describe_unusable(
    scan: Scan,
    names: Sequence[str],
    parts: Int[np.ndarray, " n"],
    origins: Int[np.ndarray, " n"],
) -> Iterator[str]:
    """Yield a description of the unusable rows of each file that has some.

    For example: `a.npy: 2 of 50 rows are not usable: zeros only in rows 3, 7 (counted from 0)`.

    Args:
        scan: the findings.
        names: names of the files.
        parts: index of the file of each row.
        origins: index of each row within its file, -1 if it is in none.
    """
    for index, name in enumerate(names):
        is_own = (parts == index) & (origins >= 0)
        kinds = {
            "NaN or infinity": scan.finite,
            f"magnitudes above {MAX_FEATURE:g}": scan.moderate,
            "zeros only": scan.nonzero,
        }
        found = {kind: origins[is_own & ~good] for kind, good in kinds.items()}
        faults = [f"{kind} in {name_rows(rows)}" for kind, rows in found.items() if len(rows)]
        if faults:
            count = sum(map(len, found.values()))
            yield (
                f"{name}: {count:,} of {np.count_nonzero(is_own):,} rows "
                f"{agree(count, 'is', 'are')} not usable: "
                f"{', '.join(faults)} (counted from 0)"
            )


def name_rows(rows: Int[np.ndarray, " m"]) -> str:
    """Return up to ten row indices as text: `row 1`, `rows 1, 3`, and `, ...` if there are more."""
    more = ", ..." if len(rows) > MAX_NAMED_ROWS else ""
    noun = agree(len(rows), "row", "rows")
    return f"{noun} {', '.join(map(str, rows[:MAX_NAMED_ROWS]))}{more}"


def check_usable(scan: Scan, faults: Sequence[str], skip_unusable: bool) -> None:
    """Raise ExtractError if rows are not usable and are not to be skipped, or none is usable.

    Args:
        scan: the findings.
        faults: descriptions of the unusable rows, for the message; empty if there are none.
        skip_unusable: whether such rows are kept as not valid.
    """
    if faults and not skip_unusable:
        raise ExtractError(
            f"{'; '.join(faults)}; compute them again, or keep them as not valid with "
            "--on-error skip"
        )
    if not scan.usable.any():
        raise ExtractError(f"{'; '.join(faults)}; no row is usable: compute the features again")
