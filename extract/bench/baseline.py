"""The loop that a transformers user writes, timed in a process of its own."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from clip_cfr.cache.read.reader import read_cache
from clip_cfr.extract.bench.processes import run_script
from clip_cfr.extract.errors import ExtractError

SCRIPT = Path(__file__).with_name("transformers_loop.py")
MIN_COSINE = 0.9999


@dataclass(frozen=True)
class TransformersLoop:
    """A loop that encodes the files of a folder with transformers.

    Attributes:
        model: folder of the model.
        root: folder of the images.
        features: .npy file that the loop writes its features to.
    """

    model: Path
    root: Path
    features: Path

    def measure_rate(self) -> float:
        """Run the loop in a process of its own and return its images per second.

        Loading the model does not count. The features are written to the file.

        Raises:
            ExtractError: the script fails.
        """
        return run_script(SCRIPT, self.model, self.root, self.features)["images_per_second"]

    def find_objection(self, cache: Path) -> str | None:
        """Run the loop and return why it cannot be compared with an extraction; None if it can.

        It cannot if it fails, or if the cosine of a row of its features and ours is at most
        MIN_COSINE.

        Args:
            cache: the cache that the extraction has written from the same files.
        """
        try:
            self.measure_rate()
        except ExtractError as error:
            return str(error)
        lowest = row_cosines(np.load(self.features), read_cache(cache).features).min()
        if lowest > MIN_COSINE:
            return None
        return f"its features differ from ours: the lowest cosine is {lowest:.6f}"


def row_cosines(
    one: Float[np.ndarray, "n dim"], other: Float[np.ndarray, "n dim"]
) -> Float[np.ndarray, " n"]:
    """Return the cosine of each pair of rows, computed in float64."""
    one, other = one.astype(np.float64), other.astype(np.float64)
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return (one * other).sum(axis=1) / lengths
