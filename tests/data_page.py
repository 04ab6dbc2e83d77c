"""The inputs of the page on data, and a run of its commands in a folder."""

import io
import json
import re
import shlex
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from click.testing import CliRunner
from PIL import Image

from clip_cfr.cli import main

CHECKOUT = Path(__file__).parents[1]
MODEL = CHECKOUT / "extract" / "tiny_clip"
# A block of code, and the name of a file in the line above it.
BLOCK = re.compile(r"(?:^`([\w./]+)`:\n\n)?^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SAID = ("warning: ", "note: ")


def write_inputs(folder: Path) -> None:
    """Write what the commands of the page read, apart from the lists that it shows."""
    for number in range(1, 7):
        write(folder / f"photos/img/{number:04}.jpg", image_bytes(number))
    for number, split in enumerate(("train", "train", "test", "test")):
        path = folder / f"animals/{split}/{('cat', 'dog')[number % 2]}/{number}.png"
        write(path, image_bytes(number))
    for archive in range(2):
        write(folder / f"shards/{archive:06}.tar", tar_bytes(archive))
    write_parquet(folder / "tables")
    write_embeddings(folder)


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def image_bytes(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 32), (40 * number, 90, 120)).save(buffer, "PNG")
    return buffer.getvalue()


def tar_bytes(archive: int) -> bytes:
    """Return an archive with a training, a validation and a test image, each with its fields."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for number, split in enumerate(("train", "val", "test")):
            fields = {"species": ("sea lion", "polar bear")[archive], "split": split}
            key = f"{archive}{number:03}"
            for name, data in (
                (f"{key}.jpg", image_bytes(number)),
                (f"{key}.json", json.dumps(fields).encode()),
            ):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def write_parquet(folder: Path) -> None:
    folder.mkdir()
    for number, split in enumerate(("train", "validation", "test")):
        images = [{"bytes": image_bytes(each), "path": f"{number}{each}.jpg"} for each in range(2)]
        table = pa.table({"image": images, "label": ["cat", "dog"]})
        pq.write_table(table, folder / f"{split}-00000-of-00001.parquet")


def write_embeddings(folder: Path) -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(6, 2)).astype(np.float32) + 3
    np.save(folder / "F.npy", features)
    np.savez(folder / "F.npz", image=features, text=features[:2])
    np.save(folder / "W.npy", rng.normal(size=(2, 4)).astype(np.float32))
    class_embeddings = rng.normal(size=(4, 2)).astype(np.float32)
    np.save(folder / "T.npy", class_embeddings / np.linalg.norm(class_embeddings, axis=0))


def run_page(page: str, folder: Path) -> Iterator[tuple[list[str], list[str]]]:
    """Write the lists of a page and run its commands in the working directory.

    Yields:
        What the page says that the commands of a block say, and what they said: the warnings and
        notes.
    """
    blocks = list(BLOCK.finditer(page))
    for block, after in zip(blocks, [*blocks[1:], None], strict=True):
        name, kind, text = block.groups()
        if kind == "csv":
            write(folder / name, text.encode())
        if kind == "sh":
            lines = text.replace("\\\n", " ").splitlines()
            said = [line for command in lines for line in run_command(command)]
            is_output = after is not None and after[2] == "text"
            yield (after[3].splitlines() if is_output else []), said


def run_command(line: str) -> list[str]:
    """Run a command line with the tiny CLIP, and return its warnings and notes."""
    python, program, *words = shlex.split(line)
    assert (python, program) == ("python", "cli.py")
    model = ["--model", str(MODEL)] if words[0] == "extract" else []
    result = CliRunner().invoke(main, [*words, *model, "--overwrite"])
    assert result.exit_code == 0, f"{line}\n{result.output}"
    return [each for each in result.stderr.splitlines() if each.startswith(SAID)]
