"""Values of typed files, such as JSON, Parquet and workbooks, as text."""

import json
from typing import Any


def to_text(value: Any) -> str:
    """Return a value as a CSV file holds it: empty for None, no fraction for whole numbers."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
