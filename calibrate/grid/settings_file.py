"""Read a search space from a YAML or JSON file that maps settings to values."""

from pathlib import Path

import yaml

from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.grid.axes import AxisText

EXPECTED = "expected a mapping of settings to a value or a list of values"


def read_settings_file(path: Path) -> list[AxisText]:
    """Return the settings of a file with their values as text, in the order of the file.

    A single value counts as a list of one. Names and values are not checked.

    Raises:
        CalibrationError: the file is not such a mapping; the message names the file and, if
            known, the line.
    """
    root = compose_yaml(path, read_text(path))
    if not isinstance(root, yaml.MappingNode):
        raise CalibrationError(f"{path}: {EXPECTED}, found {describe_node(root)}")
    return [read_entry(path, key, value) for key, value in root.value]


def read_text(path: Path) -> str:
    """Return the text of a file; in a `.json` file, spaces replace tabs.

    Raises:
        CalibrationError: the file cannot be read or is not UTF-8.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise CalibrationError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CalibrationError(f"{path}: expected text in UTF-8, found other bytes") from error
    # YAML accepts all JSON except tabs.
    return text.replace("\t", " ") if path.suffix == ".json" else text


def compose_yaml(path: Path, text: str) -> yaml.Node | None:
    """Parse YAML and return the root of its node tree; None if it is empty.

    Nodes keep their line numbers, and scalars such as `1e-4` and `16:32` stay text.

    Raises:
        CalibrationError: the text is not YAML.
    """
    try:
        return yaml.compose(text, Loader=yaml.BaseLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1
        raise CalibrationError(f"{path}, line {line}: {error.problem}; {EXPECTED}") from error
    except RecursionError as error:
        raise CalibrationError(f"{path}: nested too deeply; {EXPECTED}") from error
    except yaml.YAMLError as error:
        raise CalibrationError(f"{path}: {error}; {EXPECTED}") from error


def read_entry(path: Path, key: yaml.Node, value: yaml.Node) -> AxisText:
    """Return one entry of the mapping as an axis; its origin names the file, the line and the key.

    Raises:
        CalibrationError: the key or a value is not a scalar.
    """
    items = value.value if isinstance(value, yaml.SequenceNode) else [value]
    for node in (key, *items):
        if not isinstance(node, yaml.ScalarNode):
            line = node.start_mark.line + 1
            raise CalibrationError(f"{path}, line {line}: {EXPECTED}, found {describe_node(node)}")
    texts = tuple(item.value.strip() for item in items)
    return AxisText(key.value, texts, f"{path}, line {key.start_mark.line + 1}, {key.value}")


def describe_node(node: yaml.Node | None) -> str:
    """Return `a mapping`, `a list`, `a single value`, or `nothing` for None."""
    kinds = {yaml.MappingNode: "a mapping", yaml.SequenceNode: "a list"}
    return "nothing" if node is None else kinds.get(type(node), "a single value")
