"""The files that an import reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clip_cfr.extract.importing.arrays.reference import ArrayReference, parse_reference

# A file, a reference such as `F.npz:key`, or several of them.
Files = str | Path | Sequence[str | Path]


@dataclass(frozen=True)
class EmbeddingFiles:
    """The files that an import reads.

    Attributes:
        features: files with a matrix (n, dim), or folders of clip-retrieval; their rows follow one
            another.
        metadata: lists of the rows: one for all features, or one for each of them. Empty if the
            features bring ids and labels.
        class_embeddings: matrix (classes, embedding); None selects class means.
        projection: matrix (dim, embedding); None selects the identity.
    """

    features: tuple[ArrayReference, ...]
    metadata: tuple[Path, ...] = ()
    class_embeddings: ArrayReference | None = None
    projection: ArrayReference | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files and folders: features, class embeddings and projection if given, lists."""
        matrices = (self.class_embeddings, self.projection)
        arrays = (*self.features, *(each for each in matrices if each is not None))
        return *(each.path for each in arrays), *self.metadata


def make_embedding_files(
    features: Files,
    metadata: Files | None = None,
    class_embeddings: str | Path | None = None,
    projection: str | Path | None = None,
) -> EmbeddingFiles:
    """Return the files of an import from paths and references such as `F.npz:key`.

    `~` is expanded. Nothing is opened, and a missing file is no error here.
    """
    return EmbeddingFiles(
        features=tuple(map(parse_reference, list_files(features))),
        metadata=tuple(Path(each).expanduser() for each in list_files(metadata)),
        class_embeddings=None if class_embeddings is None else parse_reference(class_embeddings),
        projection=None if projection is None else parse_reference(projection),
    )


def list_files(files: Files | None) -> Sequence[str | Path]:
    """Return files as a sequence: empty for None, and of one entry for a single file."""
    if files is None:
        return ()
    return (files,) if isinstance(files, str | Path) else files
