"""Column names of the metadata files of group-robustness projects, and their binary rows.

A metadata file is a CSV file with a row for each image: file name, label, attribute and split. The
columns have several names: group DRO, WILDS and DFR write `img_filename,y,place,split`, SubpopBench
writes `filename,y,a,split`.
"""

from collections.abc import Sequence

from clip_cfr.cache.format.schema import SPLIT_NAMES, Rows
from clip_cfr.extract.datasets.tables.table import Table
from clip_cfr.extract.manifest.manifest import make_rows

FILENAME = ("filename", "img_filename", "image_id")
LABEL = ("label", "y")
ATTRIBUTE = ("attribute", "a", "place")
SPLIT = ("split", "partition")
BINARY_CODES = {"0": 0, "1": 1}
SPLIT_CODES = {str(code): code for code in range(3)} | {
    name: code for code, name in enumerate(SPLIT_NAMES)
}


def read_binary_rows(table: Table, paths: Sequence[str]) -> Rows:
    """Return the rows of a metadata file with two classes and two attribute values.

    Args:
        table: the metadata file.
        paths: path of the image of each entry, relative to the root.

    Raises:
        ExtractError: if a column is missing, or a value is not one of those expected.
    """
    return make_rows(
        ids=paths,
        labels=table.encode_column(BINARY_CODES, *LABEL),
        attributes=table.encode_column(BINARY_CODES, *ATTRIBUTE),
        splits=table.encode_column(SPLIT_CODES, *SPLIT),
    )
