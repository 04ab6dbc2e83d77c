"""Files to import: five images of two classes in two settings."""

from pathlib import Path

import numpy as np
import pytest

from tests.extract.importing.examples import DIM, EMBEDDING, METADATA, Inputs


@pytest.fixture
def features() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(5, DIM)).astype(np.float32)


@pytest.fixture
def inputs(tmp_path: Path, features: np.ndarray) -> Inputs:
    """The required files only: features and metadata. There are no images."""
    np.save(tmp_path / "F.npy", features)
    (tmp_path / "list.csv").write_text(METADATA)
    return Inputs(tmp_path / "F.npy", tmp_path / "list.csv")


@pytest.fixture
def all_inputs(inputs: Inputs) -> Inputs:
    """The same with a projection and unit-length class embeddings."""
    rng = np.random.default_rng(1)
    folder = inputs.features.parent
    np.save(folder / "W.npy", rng.normal(size=(DIM, EMBEDDING)))
    class_embeddings = rng.normal(size=(2, EMBEDDING))
    class_embeddings /= np.linalg.norm(class_embeddings, axis=1, keepdims=True)
    np.save(folder / "T.npy", class_embeddings)
    return Inputs(inputs.features, inputs.metadata, folder / "T.npy", folder / "W.npy")
