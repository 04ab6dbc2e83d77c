"""The loop that a transformers user writes, as a process of its own, and whether it agrees."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from clip_cfr.cache.read.reader import read_cache
from clip_cfr.extract.bench.processes import run_script
from clip_cfr.extract.errors import ExtractError

SCRIPT = Path(__file__).with_name("transformers_loop.py")
LEAST_COSINE = 0.9999


@dataclass(frozen=True)
class TransformersLoop:
    """A loop over the files of a folder, through a model.

    Attributes:
        features: where the loop writes its features.
    """

    model: Path
    root: Path
    features: Path

    def rate(self) -> float:
        """Images a second, without the loading of the model."""
        return run_script(SCRIPT, self.model, self.root, self.features)["images_per_second"]

    def objection(self, cache: Path) -> str | None:
        """Why it cannot be compared with the extraction of a cache from the same files."""
        try:
            self.rate()
        except ExtractError as error:
            return str(error)
        lowest = cosines(np.load(self.features), read_cache(cache).features).min()
        if lowest > LEAST_COSINE:
            return None
        return f"its features differ from ours: the lowest cosine is {lowest:.6f}"


def cosines(
    one: Float[np.ndarray, "n dim"], other: Float[np.ndarray, "n dim"]
) -> Float[np.ndarray, " n"]:
    """The cosine of each pair of rows."""
    one, other = one.astype(np.float64), other.astype(np.float64)
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return (one * other).sum(axis=1) / lengths
