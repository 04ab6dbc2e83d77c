"""The entries of methods in the JSON of a calibration."""

import json


def parse_methods(output: str | bytes) -> dict:
    """Return the entries by method, without the seconds, which differ from run to run."""
    methods = json.loads(output)["methods"]
    for entry in methods.values():
        del entry["cost"]["seconds"]
    return methods
