"""A task prepared for training: its features are on the device, or in a file."""

from dataclasses import dataclass
from functools import cached_property

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from clip_cfr.calibrate.core.features import Data, Features, StoredFeatures, to_device
from clip_cfr.calibrate.core.inferred_groups import count_large
from clip_cfr.calibrate.core.named_groups import count_rows
from clip_cfr.calibrate.core.task import Task
from clip_cfr.calibrate.core.units import Units, measure_units
from clip_cfr.calibrate.core.windows import Window


@dataclass(frozen=True)
class Prepared:
    """A task, with the arrays on the device that all seeds and settings share.

    Attributes:
        task: the task.
        units: mean norms, which convert heads between training and the cache.
        features: all features on the device; `StoredFeatures` if `resident_rows` is set.
        class_embeddings: class embeddings on the device, of unit length, float32.
        resident_rows: rows that are on the device at a time; None if all are.
    """

    task: Task
    units: Units
    features: Features | StoredFeatures
    class_embeddings: Float[Array, "classes embedding"]
    resident_rows: int | None = None

    @cached_property
    def all_data(self) -> Data:
        """The arrays of the training loop; only if `resident_rows` is None."""
        return self.make_data(self.features, self.task.labels, self.task.rows("val"))

    def resident_data(self, window: Window) -> Data:
        """Return the arrays of the training loop for the resident rows of a window.

        If the window has all rows, this is `all_data`. Otherwise its rows are read, and their
        features copied to the device.
        """
        if window.rows is None:
            return self.all_data
        return self.make_data(
            to_device(window.take(self.task.features), self.units.features),
            window.take(self.task.labels),
            window.resident_indices(self.task.rows("val")),
        )

    def make_data(
        self,
        features: Features,
        labels: Int[np.ndarray, " n"],
        val_rows: Int[np.ndarray, " val"],
    ) -> Data:
        """Combine resident rows with the arrays that are the same in all windows.

        Args:
            features: features of the resident rows, on the device.
            labels: class of each resident row.
            val_rows: indices of the validation split among the resident rows.
        """
        task = self.task
        inferred = task.inferred_groups[task.rows("val")]
        inferred_counts = count_large(inferred, task.num_classes)
        return Data(
            features=features,
            labels=jnp.asarray(labels),
            class_embeddings=self.class_embeddings,
            val_rows=jnp.asarray(val_rows),
            val_groups=jnp.asarray(task.groups[task.rows("val")]),
            val_group_counts=jnp.asarray(task.group_counts("val").astype(np.float32)),
            val_inferred=jnp.asarray(inferred),
            val_inferred_counts=jnp.asarray(inferred_counts.astype(np.float32)),
            group_labels=jnp.asarray(np.arange(task.num_groups) // len(task.attribute_names)),
            **named_arrays(task),
        )


def named_arrays(task: Task) -> dict[str, Array]:
    """Return `val_named` and `val_named_counts` of `Data`; empty if no attribute is named."""
    if not task.named:
        return {}
    cells = task.named_cells[task.rows("val")]
    counts = count_rows(cells, task.num_named_cells)
    return {
        "val_named": jnp.asarray(cells),
        "val_named_counts": jnp.asarray(counts.astype(np.float32)),
    }


def prepare(task: Task, resident_rows: int | None = None) -> Prepared:
    """Prepare a task for training: measure its units, and put its features on the device.

    Args:
        task: the task; without `resident_rows`, its features must be in memory.
        resident_rows: rows that training puts on the device at a time, from features that stay
            where they are; None puts all features there now.

    Raises:
        CalibrationError: the norms of the features or of their projections are not finite.
    """
    units = measure_units(task)
    if resident_rows is None:
        features = to_device(task.features, units.features)
    else:
        features = StoredFeatures(task.features, jnp.float32(1 / units.features))
    return Prepared(task, units, features, jnp.asarray(task.class_embeddings), resident_rows)
