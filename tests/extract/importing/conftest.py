"""Files to import: five images of two classes in two settings."""

from pathlib import Path

import numpy as np
import pytest

from clip_cfr.extract.importing.embedding_files import EmbeddingFiles
from tests.extract.importing.examples import DIM, EMBEDDING, METADATA


@pytest.fixture
def features() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(5, DIM)).astype(np.float32)


@pytest.fixture
def files(tmp_path: Path, features: np.ndarray) -> EmbeddingFiles:
    """The required files only: features and metadata. There are no images."""
    np.save(tmp_path / "F.npy", features)
    (tmp_path / "list.csv").write_text(METADATA)
    return EmbeddingFiles(tmp_path / "F.npy", tmp_path / "list.csv")


@pytest.fixture
def all_files(files: EmbeddingFiles) -> EmbeddingFiles:
    """The same with a projection and unit-length class embeddings."""
    rng = np.random.default_rng(1)
    folder = files.features.parent
    np.save(folder / "W.npy", rng.normal(size=(DIM, EMBEDDING)))
    class_embeddings = rng.normal(size=(2, EMBEDDING))
    class_embeddings /= np.linalg.norm(class_embeddings, axis=1, keepdims=True)
    np.save(folder / "T.npy", class_embeddings)
    return EmbeddingFiles(files.features, files.metadata, folder / "T.npy", folder / "W.npy")
