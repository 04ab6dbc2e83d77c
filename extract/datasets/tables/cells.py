"""Values of typed files, such as JSON, Parquet and workbooks, as text."""

import json
from typing import Any


def to_text(value: Any) -> str:
    """Return a value as a CSV file would hold it.

    None becomes the empty text, a float without fraction an integer (`1.0` becomes `1`), a dict or
    list becomes JSON, and any other value is converted by `str` (True becomes `True`).
    """
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
