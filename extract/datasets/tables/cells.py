"""Values of typed files, such as JSON, Parquet and workbooks, as text."""

import json
from typing import Any


def to_text(value: Any) -> str:
    """Return the text of a value in a CSV file.

    None becomes empty, a whole number has no fraction, a dict or list becomes JSON, and any other
    value is converted by `str`.
    """
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
