"""Text beside the images of a tar archive: JSON files, and files of one value such as `.cls`."""

import functools
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clip_cfr.extract.datasets.tables.cells import to_text
from clip_cfr.extract.datasets.tables.roles import simplify
from clip_cfr.extract.errors import ExtractError

JSON_ENDINGS = ("json", "jsn")
TEXT_ENDINGS = ("txt", "text")
MAX_SIZE = 1 << 22
REMEDY = "write the archive again, or give the labels in a list with --metadata"


@dataclass(frozen=True)
class TextFields:
    """The selection of the text fields to read.

    Attributes:
        names: their names, simplified.
        all_json: whether all values of JSON files are read.
    """

    names: frozenset[str] = frozenset()
    all_json: bool = False

    def is_wanted(self, name: str) -> bool:
        """Return whether `names` has the simplified form of a name. `all_json` does not count."""
        return simplify_cached(name) in self.names

    def read(
        self, path: Path, tar: tarfile.TarFile, member: tarfile.TarInfo, ending: str
    ) -> dict[str, str]:
        """Return the wanted fields in a member of an archive, as text by name.

        A JSON file has a field for each key (see `flatten`). Any other file is one field, called
        like its ending: `cls`, or `split` for the ending `split.txt`. A file that cannot hold a
        wanted field is not read, and the result is empty.

        Args:
            path: the archive.
            tar: its reader.
            member: the member.
            ending: its name from the first dot on, without the dot.

        Raises:
            ExtractError: the member is not valid.
        """
        outer, _, last = ending.lower().rpartition(".")
        if last in JSON_ENDINGS:
            if not self.names and not self.all_json:
                return {}
            values = parse_json(path, member.name, read_text(path, tar, member))
            return {
                name: to_text(value)
                for name, value in values.items()
                if self.all_json or self.is_wanted(name)
            }
        name = outer if outer and last in TEXT_ENDINGS else ending
        if not self.is_wanted(name):
            return {}
        return {name: read_text(path, tar, member).strip()}


@functools.lru_cache
def simplify_cached(name: str) -> str:
    """Return `roles.simplify` of a name, cached, because few names come with every sample."""
    return simplify(name)


def read_text(path: Path, tar: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    """Return the text of a member without its byte order mark.

    Raises:
        ExtractError: it is not a regular file, is longer than MAX_SIZE, or is not UTF-8.
    """
    if not member.isreg() or member.size > MAX_SIZE:
        raise ExtractError(
            f"{path}: {member.name} has {member.size:,} bytes or is not a regular file, expected a "
            f"text file of at most {MAX_SIZE:,} bytes; {REMEDY}"
        )
    try:
        return tar.extractfile(member).read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ExtractError(
            f"{path}: {member.name} is not UTF-8 text ({error.reason} at byte {error.start}); "
            f"{REMEDY}"
        ) from error


def parse_json(path: Path, name: str, text: str) -> dict[str, Any]:
    """Return the values of a JSON object; those of inner objects have names such as `meta.label`.

    Args:
        path: the archive, for messages.
        name: name of the member, for messages.
        text: its content.

    Raises:
        ExtractError: the text is not a JSON object.
    """
    try:
        value = json.loads(text)
        if isinstance(value, dict):
            return flatten(value)
    except (ValueError, RecursionError) as error:
        raise ExtractError(f"{path}: {name} is not valid JSON ({error}); {REMEDY}") from error
    raise ExtractError(
        f"{path}: {name} is a JSON {type(value).__name__}, expected an object such as "
        f'{{"label": "cat"}}; {REMEDY}'
    )


def flatten(value: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of an object with the values of objects in it also under `outer.inner`.

    For example `{"a": {"b": 1}, "a.b": 1}` for `{"a": {"b": 1}}`.
    """
    inner = {
        f"{outer_name}.{name}": inner_value
        for outer_name, each in value.items()
        if isinstance(each, dict)
        for name, inner_value in flatten(each).items()
    }
    return value | inner
