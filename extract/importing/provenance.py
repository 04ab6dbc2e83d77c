"""The provenance of an imported cache: names and digests of the files."""

import hashlib
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from clip_cfr.extract.importing.embedding_files import EmbeddingFiles
from clip_cfr.extract.manifest.manifest import Manifest


def make_provenance(files: EmbeddingFiles, manifest: Manifest) -> dict[str, Any]:
    """Return the provenance of a cache made of these files, in JSON types."""
    projection, class_embeddings = files.projection, files.class_embeddings
    return {
        "model": "imported",
        "features": describe_file(files.features),
        "projection": "identity" if projection is None else describe_file(projection),
        "class_embeddings": (
            "class means of the training split"
            if class_embeddings is None
            else describe_file(class_embeddings)
        ),
        "manifest_sha256": manifest.sha256(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"numpy": np.__version__, "python": platform.python_version()},
    }


def describe_file(path: Path) -> dict[str, str]:
    """Return the name and the SHA-256 of a file."""
    with path.open("rb") as file:
        return {"file": path.name, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
