"""What an extraction did, and what its user should know about it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool
from rich.table import Table

from clip_cfr.cache.format.schema import SPLIT_NAMES
from clip_cfr.extract.manifest.manifest import Manifest

MANY_UNREADABLE = 0.01


@dataclass(frozen=True)
class Summary:
    """What an extraction did.

    Attributes:
        cache: the file that was written.
        dataset, model, device, compute_dtype: what it was made of and with.
        rows: how many each split has.
        unreadable: ids of the rows that are not valid.
        resumed_at: the row at which this run began; 0 where it did the whole.
        seconds, images_per_second: of this run, without the loading of the model.
        warnings: what the data set's loader noticed, then what this run did.
    """

    cache: str
    dataset: str
    model: str
    device: str
    compute_dtype: str
    rows: dict[str, int]
    unreadable: tuple[str, ...]
    resumed_at: int
    seconds: float
    images_per_second: float
    warnings: tuple[str, ...]


def summarise(
    out: Path,
    manifest: Manifest,
    valid: Bool[np.ndarray, " n"],
    provenance: dict[str, Any],
    first_row: int,
    seconds: float,
) -> Summary:
    """The summary of a finished extraction that began at `first_row`."""
    return Summary(
        cache=str(out),
        dataset=manifest.dataset,
        model=provenance["model"],
        device=provenance["device"],
        compute_dtype=provenance["compute_dtype"],
        rows=rows_of_splits(manifest.rows.splits),
        unreadable=tuple(manifest.rows.ids[row] for row in np.flatnonzero(~valid)),
        resumed_at=first_row,
        seconds=round(seconds, 3),
        images_per_second=round((len(manifest.rows) - first_row) / seconds, 1),
        warnings=(*manifest.warnings, *validity_warnings(manifest, valid)),
    )


def rows_of_splits(splits: np.ndarray) -> dict[str, int]:
    """How many rows each split has."""
    counts = np.bincount(splits, minlength=len(SPLIT_NAMES))
    return dict(zip(SPLIT_NAMES, counts.tolist(), strict=True))


def validity_warnings(manifest: Manifest, valid: Bool[np.ndarray, " n"]) -> list[str]:
    """A sentence where a whole split, or many of its rows, could not be read."""
    found = []
    for code, name in enumerate(SPLIT_NAMES):
        rows = valid[manifest.rows.splits == code]
        bad = int((~rows).sum())
        if bad == len(rows) > 0:
            found.append(f"split {name}: none of its {len(rows):,} images could be read")
        elif bad > MANY_UNREADABLE * len(rows):
            found.append(f"split {name}: {bad:,} of {len(rows):,} images could not be read")
    return found


def render(summary: Summary) -> Table:
    """The summary as a table of two columns."""
    table = Table(title=summary.cache, show_header=False)
    splits = ", ".join(f"{name} {count:,}" for name, count in summary.rows.items())
    table.add_row("data set", summary.dataset)
    table.add_row("rows", f"{sum(summary.rows.values()):,} ({splits})")
    table.add_row("not readable", f"{len(summary.unreadable):,}")
    table.add_row("model", summary.model)
    table.add_row("computed", f"in {summary.compute_dtype} on {summary.device}")
    table.add_row("time", f"{summary.seconds:,.1f} s, {summary.images_per_second:,.1f} images/s")
    return table
