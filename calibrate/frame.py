"""Tidy rows as a pandas DataFrame; pandas is the extra `frame`."""

from collections.abc import Iterable
from typing import Any

MISSING = "to_frame needs pandas; install it with: pip install 'clip-cfr[frame]'"


def make_frame(rows: Iterable[dict[str, Any]]) -> Any:
    """Return a pandas DataFrame with one row for each dict; their keys are the columns.

    Raises:
        ModuleNotFoundError: pandas is not installed; names the extra `frame`.
    """
    try:
        import pandas
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(MISSING, name="pandas") from error
    return pandas.DataFrame(list(rows))
