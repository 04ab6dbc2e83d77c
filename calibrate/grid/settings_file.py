"""Reads a search space from a YAML or JSON file: a mapping of setting to values."""

from pathlib import Path

import yaml

from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.grid.axes import Given

EXPECTED = "expected a mapping of settings to a value or a list of values"


def read_settings_file(path: Path) -> list[Given]:
    """The settings of a file with their values as text, in its order.

    Raises:
        CalibrationError: names the file, and the line where there is one.
    """
    root = compose(path, read_text(path))
    if not isinstance(root, yaml.MappingNode):
        raise CalibrationError(f"{path}: {EXPECTED}, found {described(root)}")
    return [given(path, key, value) for key, value in root.value]


def read_text(path: Path) -> str:
    """The text of the file."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise CalibrationError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CalibrationError(f"{path}: expected text in UTF-8, found other bytes") from error
    # All JSON is YAML, but for tabs.
    return text.replace("\t", " ") if path.suffix == ".json" else text


def compose(path: Path, text: str) -> yaml.Node | None:
    """The nodes of the file; they know their lines, and `1e-4` and `16:32` stay what they are."""
    try:
        return yaml.compose(text, Loader=yaml.BaseLoader)
    except yaml.MarkedYAMLError as error:
        place, problem = error.problem_mark, error.problem
        raise CalibrationError(f"{path}, line {place.line + 1}: {problem}; {EXPECTED}") from error
    except yaml.YAMLError as error:
        raise CalibrationError(f"{path}: {error}; {EXPECTED}") from error


def given(path: Path, key: yaml.Node, value: yaml.Node) -> Given:
    """One entry of the mapping."""
    items = value.value if isinstance(value, yaml.SequenceNode) else [value]
    for node in (key, *items):
        if not isinstance(node, yaml.ScalarNode):
            line = node.start_mark.line + 1
            raise CalibrationError(f"{path}, line {line}: {EXPECTED}, found {described(node)}")
    texts = tuple(item.value.strip() for item in items)
    return Given(key.value, texts, f"{path}, line {key.start_mark.line + 1}, {key.value}")


def described(node: yaml.Node | None) -> str:
    """What a node is, in words."""
    kinds = {yaml.MappingNode: "a mapping", yaml.SequenceNode: "a list"}
    return "nothing" if node is None else kinds.get(type(node), "a single value")
