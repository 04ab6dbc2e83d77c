"""The files that an import reads."""

from dataclasses import dataclass, fields
from pathlib import Path


@dataclass(frozen=True)
class EmbeddingFiles:
    """Paths of the files that an import reads.

    Matrices are floating-point arrays in .npy files, or in .npz files with one array.

    Attributes:
        features: matrix (n, dim), with a row for each row of the metadata file in the same order.
        metadata: CSV file with the columns filename,label[,attribute][,split], as for the data set
            `folder`. The images need not exist.
        class_embeddings: matrix (classes, embedding); None selects class means.
        projection: matrix (dim, embedding); None selects the identity.
    """

    features: Path
    metadata: Path
    class_embeddings: Path | None = None
    projection: Path | None = None

    def __post_init__(self) -> None:
        """Convert paths that are strings."""
        for field in fields(self):
            value = getattr(self, field.name)
            object.__setattr__(self, field.name, None if value is None else Path(value))
