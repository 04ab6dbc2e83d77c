"""Lists of images as group-robustness projects publish them: a file name, y, a and a split.

The columns go by several names: `img_filename,y,place,split` is what group DRO, WILDS and DFR
write, `filename,y,a,split` what SubpopBench does.
"""

from collections.abc import Sequence

from clip_cfr.cache.format.schema import SPLIT_NAMES, Rows
from clip_cfr.extract.datasets.common.csv_table import Table
from clip_cfr.extract.manifest.manifest import make_rows

FILENAME = ("filename", "img_filename", "image_id")
LABEL = ("label", "y")
ATTRIBUTE = ("attribute", "a", "place")
SPLIT = ("split", "partition")
BINARY = {"0": 0, "1": 1}
SPLIT_CODES = {str(code): code for code in range(3)} | {
    name: code for code, name in enumerate(SPLIT_NAMES)
}


def binary_rows(table: Table, paths: Sequence[str]) -> Rows:
    """The rows of a list with two labels and two attributes; `paths` are those of its images.

    Raises:
        ExtractError: a column is missing, or a value is none of those expected.
    """
    return make_rows(
        ids=paths,
        labels=table.coded(BINARY, *LABEL),
        attributes=table.coded(BINARY, *ATTRIBUTE),
        splits=table.coded(SPLIT_CODES, *SPLIT),
    )
