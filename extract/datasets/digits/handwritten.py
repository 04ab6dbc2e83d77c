"""scikit-learn's handwritten digits, divided between the tiny CLIP and the data set `digits`.

References:
    E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning
    Repository, 1998, CC BY 4.0.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float64, Int64
from sklearn.datasets import load_digits

NUM_HELD_OUT = 97
DIVISION_SEED = 1


@dataclass(frozen=True)
class Division:
    """Indices of the 1,797 digits, divided in two.

    The saved weights of the tiny CLIP depend on the division, so it has a fixed seed of its own.

    Attributes:
        tiny_clip: digits that the tiny CLIP is trained on.
        held_out: digits that it never sees; row d has the NUM_HELD_OUT digits that show d,
            shuffled.
    """

    tiny_clip: Int64[np.ndarray, " m"]
    held_out: Int64[np.ndarray, "10 per_digit"]


@cache
def load_handwritten() -> tuple[Float64[np.ndarray, "n 8 8"], Int64[np.ndarray, " n"]]:
    """Return the ink of every digit, in [0, 1], and the number from 0 to 9 that it shows.

    These are the 1,797 digits of scikit-learn. The arrays are cached and must not be changed.
    """
    digits = load_digits()
    return digits.images / 16, digits.target


@cache
def divide_digits() -> Division:
    """Return the division of the digits, which is fixed and the same for every number.

    Of each number, NUM_HELD_OUT digits are held out and the others are the tiny CLIP's.
    """
    _, numbers = load_handwritten()
    # NumPy guarantees that the streams of RandomState never change; those of Generator may.
    rng = np.random.RandomState(DIVISION_SEED)
    shuffled = [rng.permutation(np.flatnonzero(numbers == digit)) for digit in range(10)]
    return Division(
        tiny_clip=np.concatenate([indices[NUM_HELD_OUT:] for indices in shuffled]),
        held_out=np.stack([indices[:NUM_HELD_OUT] for indices in shuffled]),
    )
