"""The checker that `conftest.py` has every annotated function of `calibrate` run under."""

from beartype import BeartypeConf, beartype

# An int where a float is asked for is right in Python.
check = beartype(conf=BeartypeConf(is_pep484_tower=True))
