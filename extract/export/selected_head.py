"""The head to export, with the results that its run stores."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clip_cfr.cache.errors import error_context
from clip_cfr.cache.runs.heads import NAME_ONE, SavedHead, choose_head, class_names
from clip_cfr.cache.runs.run import Run, read_run

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class SelectedHead:
    """A head of a run.

    Attributes:
        directory: the run folder.
        run: its contents.
        saved: the head.
        class_names: names of the classes, in the order of the labels.
    """

    directory: Path
    run: Run
    saved: SavedHead
    class_names: tuple[str, ...]

    @property
    def method(self) -> str:
        """The method that made the head."""
        return self.saved.method

    @property
    def seed(self) -> int:
        """The seed of its training."""
        return self.saved.seed

    @property
    def name(self) -> str:
        """Name of the head's files in the run folder: `METHOD-seedN`."""
        return f"{self.method}-seed{self.seed}"

    @property
    def arrays(self) -> Arrays:
        """The arrays of the head (cache/RUNS.md, "Heads")."""
        return self.saved.arrays

    @property
    def model(self) -> dict[str, Any]:
        """Provenance of the features: model, revision, digest of the weights and others."""
        return self.run.provenance["cache"]

    @property
    def is_projection(self) -> bool:
        """Whether the head is a projection of features to CLIP's embeddings, and nothing more."""
        return "class_embeddings" in self.arrays and "adapter_down" not in self.arrays


def select_head(directory: Path, method: str | None, seed: int | None) -> SelectedHead:
    """Return a head of the run in a folder, chosen as `read_head` does.

    Raises:
        CacheError: as for `read_head`.
    """
    run = read_run(directory)
    with error_context(directory, NAME_ONE):
        return SelectedHead(directory, run, choose_head(run, method, seed), class_names(run))
