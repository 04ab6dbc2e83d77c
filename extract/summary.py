"""The result of an extraction."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Int8
from rich.table import Table

from clip_cfr.cache.format.schema import SPLIT_NAMES


@dataclass(frozen=True)
class Summary:
    """The result of an extraction.

    Attributes:
        cache: path of the file that was written.
        dataset: name of the data set.
        model: name of the model.
        device: device and kind of device that encoded.
        compute_dtype: compute type of the image tower.
        rows: number of rows per split.
        unreadable: ids of the rows that are not valid, also of those of earlier runs.
        resumed_at: index of the row at which this run resumed; 0 if it encoded all rows.
        seconds: duration of this run, without loading the model.
        images_per_second: rows that this run encoded, per second.
        warnings: warnings of the data set's loader, then those of this run.
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

    def to_json(self) -> dict[str, Any]:
        """Return the summary as a dict of its attributes; tuples become arrays in JSON."""
        return asdict(self)


def count_splits(splits: Int8[np.ndarray, " n"]) -> dict[str, int]:
    """Return the number of rows of each split, by the split's name; 0 for a split without rows."""
    counts = np.bincount(splits, minlength=len(SPLIT_NAMES))
    return dict(zip(SPLIT_NAMES, counts.tolist(), strict=True))


def render_summary(summary: Summary) -> Table:
    """Return the summary as a rich table of names and values, without the warnings."""
    table = Table(title=summary.cache, show_header=False)
    splits = ", ".join(f"{name} {count:,}" for name, count in summary.rows.items())
    table.add_row("data set", summary.dataset)
    table.add_row("rows", f"{sum(summary.rows.values()):,} ({splits})")
    table.add_row("unreadable", f"{len(summary.unreadable):,}")
    table.add_row("model", summary.model)
    table.add_row("computed", f"in {summary.compute_dtype} on {summary.device}")
    table.add_row("time", f"{summary.seconds:,.1f} s, {summary.images_per_second:,.1f} images/s")
    return table
