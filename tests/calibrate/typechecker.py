"""The checker that `conftest.py` has every annotated function of `calibrate` run under."""

from typing import Any, Self

import numpy as np
from beartype import BeartypeConf, FrozenDict, beartype

# NumPy's numbers are numbers, and an int will do for a float. Beartype knows the class that `Self`
# stands for only when it decorates the class, and jaxtyping's hook decorates its methods.
OVERRIDES = FrozenDict(
    {int: int | np.integer, float: float | int | np.floating | np.integer, Self: Any}
)
check = beartype(conf=BeartypeConf(hint_overrides=OVERRIDES))
