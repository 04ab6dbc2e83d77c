"""The photos of `save_photos` in archives."""

import csv
import json
import tarfile
from pathlib import Path

NUM_ARCHIVES = 3


def read_rows(photos: Path) -> list[dict[str, str]]:
    """Return the rows of the list of a folder."""
    with (photos / "metadata.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def pack_tars(photos: Path, folder: Path) -> Path:
    """Write the photos to tar archives, with their labels in JSON files. Return `folder`."""
    folder.mkdir()
    rows = read_rows(photos)
    size = -(-len(rows) // NUM_ARCHIVES)
    for first in range(0, len(rows), size):
        with tarfile.open(folder / f"{first:06d}.tar", "w") as tar:
            for row in rows[first : first + size]:
                path = photos / row.pop("filename")
                (beside := folder / "fields.json").write_text(json.dumps(row))
                tar.add(path, path.name)
                tar.add(beside, f"{path.stem}.json")
                beside.unlink()
    return folder


def pack_parquet(photos: Path, folder: Path) -> Path:
    """Write the photos to Parquet files in small row groups. Return `folder`."""
    import pyarrow as pa
    from pyarrow import parquet

    folder.mkdir()
    rows = read_rows(photos)
    size = -(-len(rows) // NUM_ARCHIVES)
    for row in rows:
        name = row.pop("filename")
        row["image"] = {"bytes": (photos / name).read_bytes(), "path": name}
    for first in range(0, len(rows), size):
        table = pa.Table.from_pylist(rows[first : first + size])
        parquet.write_table(table, folder / f"{first:06d}.parquet", row_group_size=5)
    return folder
