"""The checker that `conftest.py` has every annotated function of `calibrate` run under."""

import numpy as np
from beartype import BeartypeConf, FrozenDict, beartype

# NumPy's numbers are numbers, and an int will do for a float.
NUMBERS = FrozenDict({int: int | np.integer, float: float | int | np.floating | np.integer})
check = beartype(conf=BeartypeConf(hint_overrides=NUMBERS))
