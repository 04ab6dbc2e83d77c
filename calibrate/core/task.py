"""The task: the arrays of a cache, checked once and trusted afterwards."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Int32

from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.inferred_groups import infer_groups, predict_zero_shot
from clip_cfr.calibrate.core.named_groups import NamedAttribute, count_cells, number_cells
from clip_cfr.calibrate.core.row_source import RowSource

SPLITS = ("train", "val", "test")
# What to do if a split has no row.
REMEDIES = {
    "train": "make the cache again with all three",
    "val": "draw it from train with calibrate --val-fraction 0.2, or make the cache again with all "
    "three",
    "test": "make the cache again with all three",
}


@dataclass(frozen=True)
class Task:
    """Features and labels of a data set, with CLIP's head and the class embeddings.

    Attributes:
        features: pooled image features before the projection, not normalized, in float16 or
            float32; in memory or in a file.
        valid: whether each row could be read; other rows are ignored.
        labels: class of each row.
        attributes: spurious attribute of each row, an index into `attribute_names`; for evaluation
            and for methods that say that they use group labels.
        splits: index of each row's split in `SPLITS`.
        class_names, attribute_names: names by index; at least one each.
        projection, bias, logit_scale: CLIP's own head, for features as stored; `bias` is None if
            the model has none, and `logit_scale` is the factor itself, not its logarithm.
        class_embeddings: unit-length embeddings of the class prompts.
        subjects: number of each row's subject, equal for rows that are not independent of each
            other (such as images of one patient); None if all rows are independent.
        train_rows: indices of the rows to train on, ascending, each as often as it counts; None
            for the training split.
        named: attributes that are described in words, with the value of each row; empty if none is.

    The test split may be empty. Training and selection do not use it.

    Raises:
        CalibrationError: the training or the validation split has no rows, or the training split
            has one class only.
    """

    features: Float[np.ndarray, "n dim"] | RowSource
    valid: Bool[np.ndarray, " n"]
    labels: Int32[np.ndarray, " n"]
    attributes: Int32[np.ndarray, " n"]
    splits: Int[np.ndarray, " n"]
    class_names: tuple[str, ...]
    attribute_names: tuple[str, ...]
    projection: Float32[np.ndarray, "dim embedding"]
    bias: Float32[np.ndarray, " embedding"] | None
    logit_scale: float
    class_embeddings: Float32[np.ndarray, "classes embedding"]
    subjects: Int32[np.ndarray, " n"] | None = None
    train_rows: Int32[np.ndarray, " rows"] | None = None
    named: tuple[NamedAttribute, ...] = ()

    @classmethod
    def from_cache(cls, cache: Any) -> Self:
        """Return the task of a feature cache, as opened by `clip_cfr.cache.open_cache`.

        Features stay in the file if those of the cache do. Without attributes in the cache, the
        only attribute name is `any`.

        Raises:
            CalibrationError: one of the three splits has no readable row, or the training split
                has one class only.
        """
        rows, texts, head = cache.rows, cache.texts, cache.head
        task = cls(
            features=cache.features,
            valid=cache.valid,
            labels=rows.labels,
            attributes=rows.attributes,
            splits=rows.splits,
            class_names=texts.class_names,
            attribute_names=texts.attribute_names or ("any",),
            projection=head.projection,
            bias=head.bias,
            logit_scale=head.logit_scale,
            class_embeddings=texts.class_embeddings,
            subjects=rows.subjects,
        )
        task.require_rows("test")
        return task

    def __post_init__(self):
        self.require_rows("train", "val")
        present = np.unique(self.labels[self.rows("train")])
        if len(present) < 2:
            raise CalibrationError(
                f"the training split holds only class {self.class_names[present[0]]!r}, expected "
                "rows of at least two classes: check the labels that the cache was made from"
            )

    def require_rows(self, *splits: str) -> None:
        """Raise CalibrationError if one of the splits (names of `SPLITS`) has no readable row."""
        for name in splits:
            if not len(self.rows(name)):
                raise CalibrationError(
                    f"the {name} split has no readable row, expected some with splits = "
                    f"{SPLITS.index(name)}; training needs train, selection val, and the table "
                    f"test: {REMEDIES[name]}"
                )

    @property
    def num_classes(self) -> int:
        """Number of class names, including classes without rows."""
        return len(self.class_names)

    @property
    def num_groups(self) -> int:
        """Number of classes times number of attributes, including groups without rows."""
        return self.num_classes * len(self.attribute_names)

    @cached_property
    def groups(self) -> Int32[np.ndarray, " n"]:
        """Group of each row: label * number of attributes + attribute."""
        return (self.labels * len(self.attribute_names) + self.attributes).astype(np.int32)

    @cached_property
    def inferred_groups(self) -> Int32[np.ndarray, " n"]:
        """Inferred group of each valid row of val and test, see `infer_groups`; -1 for others."""
        rows = np.flatnonzero(self.valid & (self.splits != SPLITS.index("train")))
        scores = predict_zero_shot(
            self.features, rows, self.projection, self.bias, self.class_embeddings
        )
        inferred = np.full(len(self.labels), -1, np.int32)
        inferred[rows] = infer_groups(scores, self.labels[rows])
        return inferred

    @property
    def num_named_cells(self) -> int:
        """Number of groups named in words, over all attributes; 0 without such attributes."""
        return count_cells(self.named, self.num_classes)

    @cached_property
    def named_cells(self) -> Int32[np.ndarray, "n attributes"]:
        """Named groups of each row, one for each attribute, see `number_cells`; needs `named`."""
        return number_cells(self.labels, self.named, self.num_classes)

    def rows(self, split: str) -> Int32[np.ndarray, " rows"]:
        """Return the indices of the valid rows to use of a split (`train`, `val`, `test`).

        They ascend. With `train_rows`, a training row may occur several times, or not at all.
        """
        if split == "train" and self.train_rows is not None:
            return self.train_rows[self.valid[self.train_rows]]
        return self.split_rows(split)

    def split_rows(self, split: str) -> Int32[np.ndarray, " rows"]:
        """Return the indices of all valid rows of a split, ascending, each once."""
        return np.flatnonzero(self.valid & (self.splits == SPLITS.index(split))).astype(np.int32)

    def group_counts(self, split: str) -> Int[np.ndarray, " groups"]:
        """Return the number of each group among `rows`; 0 for an empty group."""
        return np.bincount(self.groups[self.rows(split)], minlength=self.num_groups)

    def split_group_counts(self, split: str) -> Int[np.ndarray, " groups"]:
        """Return the number of each group among `split_rows`; 0 for an empty group."""
        return np.bincount(self.groups[self.split_rows(split)], minlength=self.num_groups)

    def group_name(self, group: int) -> tuple[str, str]:
        """Return the class name and the attribute name of the group of this index."""
        label, attribute = divmod(int(group), len(self.attribute_names))
        return self.class_names[label], self.attribute_names[attribute]
