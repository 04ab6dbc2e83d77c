"""Nested settings, flattened and compared."""

from clip_cfr.cache.format.nested import describe_changes, flatten


def test_nested_settings_get_dotted_names():
    settings = {"a": 1, "b": {"c": None, "d": {"e": [2]}}, "f": {}}
    assert flatten(settings) == {"a": 1, "b.c": None, "b.d.e": [2], "f": {}}


def test_changes_are_described_by_name():
    old = {"size": {"crop": 224}, "model": "tiny", "limit": None}
    new = {"size": {"crop": 336}, "model": "tiny", "seed": 0}
    assert describe_changes(old, new) == [
        "limit was null, now not set",
        "seed was not set, now 0",
        "size.crop was 224, now 336",
    ]
    assert describe_changes(old, old) == []
