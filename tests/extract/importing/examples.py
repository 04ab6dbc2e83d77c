"""The metadata of the files to import, and the message of an import that fails."""

import pytest

from clip_cfr.extract.datasets.common.options import DatasetOptions
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.importing.cache_contents import read_cache_contents
from clip_cfr.extract.importing.embedding_files import EmbeddingFiles

DIM, EMBEDDING = 6, 4
METADATA = """filename,label,attribute,split
a.jpg,dog,snow,0
b.jpg,cat,snow,0
c.jpg,dog,grass,0
d.jpg,cat,grass,1
e.jpg,dog,snow,2
"""


def import_error(files: EmbeddingFiles, kind: type[Exception] = ExtractError, **options) -> str:
    """Return the message of the exception that an import raises, with DIR for the folder."""
    with pytest.raises(kind) as error:
        read_cache_contents(files, options=DatasetOptions(**options))
    return str(error.value).replace(str(files.metadata.parent), "DIR")
