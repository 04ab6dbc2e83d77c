"""Files to import: five images of two classes in two settings, in a folder."""

from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from clip_cfr.cache.format.schema import FeatureCache
from clip_cfr.extract.datasets.common.options import DatasetOptions
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.importing.cache_contents import open_cache_contents
from clip_cfr.extract.importing.embedding_files import EmbeddingFiles, Files, make_embedding_files

DIM, EMBEDDING = 6, 4
METADATA = """filename,label,attribute,split
a.jpg,dog,snow,0
b.jpg,cat,snow,0
c.jpg,dog,grass,0
d.jpg,cat,grass,1
e.jpg,dog,snow,2
"""


@dataclass(frozen=True)
class Inputs:
    """Paths of the files to import; see `make_embedding_files`."""

    features: Files
    metadata: Files | None
    class_embeddings: Path | None = None
    projection: Path | None = None

    def files(self) -> EmbeddingFiles:
        return make_embedding_files(
            self.features, self.metadata, self.class_embeddings, self.projection
        )


def read_contents(
    inputs: Inputs, skip_unusable: bool = False, **options
) -> tuple[FeatureCache, tuple[str, ...]]:
    """Return the contents of a cache, with the features in memory, and the notes."""
    with ExitStack() as stack:
        cache, notes = open_cache_contents(
            inputs.files(), stack, "imported", DatasetOptions(**options), skip_unusable
        )
        return replace(cache, features=cache.features[:]), notes


def import_error(inputs: Inputs, kind: type[Exception] = ExtractError, **options) -> str:
    """Return the message of the exception that an import raises, with DIR for the folder."""
    with pytest.raises(kind) as error:
        read_contents(inputs, **options)
    return str(error.value).replace(str(inputs.files().features[0].path.parent), "DIR")
