"""The provenance of an imported cache: names and digests of the files."""

import hashlib
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from clip_cfr.extract.importing.arrays.reference import ArrayReference
from clip_cfr.extract.importing.embedding_files import EmbeddingFiles
from clip_cfr.extract.manifest.manifest import Manifest, describe_splits


def make_provenance(files: EmbeddingFiles, manifest: Manifest) -> dict[str, Any]:
    """Return the provenance of a cache made of these files, in JSON types.

    It has the model `imported`, name and SHA-256 of each file of arrays (or `identity` and `class
    means of the training split` instead), the manifest's digest, the time in UTC (ISO 8601, to the
    second), the versions of NumPy and Python, and the drawn splits if there are any.
    """
    projection, class_embeddings = files.projection, files.class_embeddings
    return {
        "model": "imported",
        "features": describe_arrays(files.features),
        "projection": "identity" if projection is None else describe_array(projection),
        "class_embeddings": (
            "class means of the training split"
            if class_embeddings is None
            else describe_array(class_embeddings)
        ),
        "manifest_sha256": manifest.sha256(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"numpy": np.__version__, "python": platform.python_version()},
        **describe_splits(manifest),
    }


def describe_arrays(references: Sequence[ArrayReference]) -> dict[str, str] | list[dict[str, str]]:
    """Return the description of a single array, or a list of those of several."""
    found = [describe_array(reference) for reference in references]
    return found[0] if len(found) == 1 else found


def describe_array(reference: ArrayReference) -> dict[str, str]:
    """Return `file` (name without folder), `key` if the array is named, and the file's `sha256`."""
    key = {} if reference.key is None else {"key": reference.key}
    return {"file": reference.path.name, **key, "sha256": digest_path(reference.path)}


def digest_path(path: Path) -> str:
    """Return the hex SHA-256 of a file, or of a folder.

    The digest of a folder is that of the relative paths and digests of all files in it and below.
    """
    if path.is_dir():
        files = sorted(each for each in path.rglob("*") if each.is_file())
        lines = [f"{each.relative_to(path)} {digest_path(each)}\n" for each in files]
        return hashlib.sha256("".join(lines).encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
