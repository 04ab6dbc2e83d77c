import gzip
import pickle
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from clip_cfr.extract.datasets.cmnist.coloured_images import HUES
from clip_cfr.extract.datasets.common.published_counts import count_groups
from clip_cfr.extract.errors import OptionError
from tests.extract.datasets import loading

load = partial(loading.load, "cmnist")
load_error = partial(loading.load_error, "cmnist")

PARTS = ("train", "t10k")


def encode_idx(array: np.ndarray) -> bytes:
    """Return the bytes of an idx file."""
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


def write_part(folder: Path, part: str, digits: np.ndarray, numbers: np.ndarray) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{part}-images-idx3-ubyte").write_bytes(encode_idx(digits))
    (folder / f"{part}-labels-idx1-ubyte").write_bytes(encode_idx(numbers))


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """MNIST with six hundred training digits and a hundred test digits."""
    rng = np.random.default_rng(0)
    for part, n in zip(PARTS, (600, 100), strict=True):
        digits = rng.integers(256, size=(n, 28, 28), dtype=np.uint8)
        write_part(tmp_path, part, digits, rng.integers(10, size=n, dtype=np.uint8))
    return tmp_path


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> Path:
    """MNIST's training part with equal images and the numbers from 0 to 9 in turn."""
    root = tmp_path_factory.mktemp("large")
    pixels = np.arange(28 * 28, dtype=np.uint16).astype(np.uint8).reshape(28, 28)
    numbers = np.arange(60_000, dtype=np.uint32) % 10
    write_part(root, "train", np.tile(pixels, (60_000, 1, 1)), numbers.astype(np.uint8))
    return root


def test_subpopbench_reproduces_the_published_groups(published_file, tmp_path: Path):
    labels = published_file("train-labels-idx1-ubyte.gz")
    shutil.copy(labels, tmp_path)
    blank = np.zeros((60_000, 28, 28), np.uint8)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(encode_idx(blank))
    manifest = load(tmp_path)
    assert count_groups(manifest.rows, 4, 2) == {
        "train": [12228, 3021, 3002, 11749],
        "val": [4011, 1068, 970, 3951],
        "test": [8009, 2002, 2044, 7945],
    }
    assert manifest.warnings == ()


def test_subpopbench_draws_as_defined(large: Path):
    manifest = load(large, protocol="subpopbench")
    numbers = np.arange(60_000) % 10
    for split, (start, end) in enumerate([(0, 30_000), (30_000, 40_000), (40_000, 60_000)]):
        rng = np.random.default_rng(666)
        labels = (numbers[start:end] >= 5) ^ (rng.random(end - start) < 0.25)
        colours = labels ^ (rng.random(end - start) < 0.2)
        assert (manifest.rows.labels[start:end] == labels).all()
        assert (manifest.rows.attributes[start:end] == colours).all()
        assert (manifest.rows.splits[start:end] == split).all()
    assert manifest.rows.ids[59_999] == "train-images-idx3-ubyte/59999"
    assert len(manifest.warnings) == 3


def test_subpopbench_colours_one_channel(large: Path):
    manifest = load(large)
    images = pickle.loads(pickle.dumps(manifest.images))
    for colour in (0, 1):
        row = int(np.flatnonzero(manifest.rows.attributes == colour)[0])
        pixels = images.read(row)
        assert (pixels.shape, pixels.dtype) == ((28, 28, 3), np.uint8)
        assert pixels[..., colour].any()
        assert not np.delete(pixels, colour, axis=-1).any()
    assert manifest.attribute_names == ("red", "green")


def test_a_class_has_a_prompt_for_each_digit(large: Path):
    manifest = load(large)
    assert manifest.class_names == ("a digit from zero to four", "a digit from five to nine")
    assert manifest.class_prompts[0] == (
        "a photo of the digit zero.",
        "a photo of the digit one.",
        "a photo of the digit two.",
        "a photo of the digit three.",
        "a photo of the digit four.",
    )


def test_subpopbench_needs_all_training_digits(small: Path):
    assert load_error(small) == (
        "ROOT has 600 training digits, expected 60000, because the protocol subpopbench splits "
        "them by position; use --protocol five-class"
    )


def test_five_class_has_classes_of_two_digits(small: Path):
    manifest = load(small, protocol="five-class")
    numbers = np.frombuffer((small / "train-labels-idx1-ubyte").read_bytes()[8:], np.uint8)
    assert (manifest.rows.labels[:600] == numbers // 2).all()
    assert np.bincount(manifest.rows.splits).tolist() == [500, 100, 100]
    assert manifest.class_names[1] == "a digit from two to three"
    assert manifest.class_prompts[1] == (
        "a photo of the digit two.",
        "a photo of the digit three.",
    )
    assert manifest.attribute_names == ("red", "lime", "green", "blue", "purple")
    assert manifest.warnings == (
        "cmnist: train-images-idx3-ubyte has 600 rows, the published counts are 60000",
        "cmnist: t10k-images-idx3-ubyte has 100 rows, the published counts are 10000",
    )
    assert manifest.sha256() == load(small, protocol="five-class", seed=42).sha256()
    assert manifest.sha256() != load(small, protocol="five-class", seed=1).sha256()


def test_the_published_digits_in_five_hues(published_file, tmp_path: Path):
    for kind in ("images-idx3-ubyte.gz", "labels-idx1-ubyte.gz"):
        for part in PARTS:
            shutil.copy(published_file(f"t10k-{kind}"), tmp_path / f"{part}-{kind}")
    manifest = load(tmp_path, protocol="five-class")
    rows = manifest.rows
    train = rows.splits == 0
    assert np.mean(rows.labels[train] == rows.attributes[train]) == pytest.approx(0.995, abs=0.002)
    for split in (1, 2):
        hues = np.bincount(rows.attributes[rows.splits == split]) / (rows.splits == split).sum()
        assert hues == pytest.approx([0.2] * 5, abs=0.03)
    assert len(np.unique(rows.labels * 5 + rows.attributes)) == 25
    ink = gzip.decompress((tmp_path / "t10k-images-idx3-ubyte.gz").read_bytes())[16 : 16 + 784]
    digit = np.frombuffer(ink, np.uint8).reshape(28, 28)
    pixels = manifest.images.read(10_000)
    assert (pixels.shape, pixels.dtype) == ((28, 28, 3), np.uint8)
    assert (pixels[digit >= 120] == HUES[rows.attributes[10_000]]).all()
    assert (pixels[digit < 120] == digit[digit < 120][:, None]).all()


def test_hues_are_correlated_with_the_label_in_training_only(small: Path):
    rows = load(small, protocol="five-class").rows
    train = rows.splits == 0
    assert (rows.labels[train] == rows.attributes[train]).mean() > 0.97
    assert (rows.labels[~train] == rows.attributes[~train]).mean() < 0.35


@pytest.mark.parametrize("folder", ["raw", "MNIST/raw"])
def test_finds_files_in_the_folders_of_torchvision(small: Path, folder: str):
    expected = load(small, protocol="five-class").sha256()
    (small / folder).mkdir(parents=True)
    for path in small.glob("*ubyte"):
        path.rename(small / folder / path.name)
    assert load(small, protocol="five-class").sha256() == expected


@pytest.mark.parametrize(
    "rename",
    [
        lambda name: name.replace("-idx", ".idx"),
        lambda name: f"{name}/{name}",
        lambda name: f"raw/{name}/{name.replace('-idx', '.idx')}",
        lambda name: f"data/mnist/files/{name}",
    ],
    ids=["dots", "folders of their names", "both", "deeper"],
)
@pytest.mark.parametrize("is_compressed", [False, True])
def test_finds_files_of_other_copies(small: Path, rename, is_compressed: bool):
    expected = load(small, protocol="five-class").sha256()
    for path in list(small.glob("*ubyte")):
        content = path.read_bytes()
        path.unlink()
        target = small / (rename(path.name) + (".gz" if is_compressed else ""))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(gzip.compress(content, 1) if is_compressed else content)
    assert load(small, protocol="five-class").sha256() == expected


def test_takes_the_file_beside_a_folder_that_repeats_it(small: Path):
    """Kaggle's copy has each file twice."""
    expected = load(small, protocol="five-class")
    for path in list(small.glob("*ubyte")):
        dotted = small / path.name.replace("-idx", ".idx")
        path.rename(dotted)
        path.mkdir()
        shutil.copy(dotted, path / path.name)
    manifest = load(small, protocol="five-class")
    assert manifest.sha256() == expected.sha256()
    assert manifest.warnings == expected.warnings


def test_says_where_it_found_the_files(small: Path):
    (small / "inner").mkdir()
    for path in list(small.glob("*ubyte")):
        path.rename(small / "inner" / path.name)
    assert load(small, protocol="five-class").warnings[0] == (
        f"{small} does not contain train-images-idx3-ubyte itself; using "
        f"{small}/inner/train-images-idx3-ubyte"
    )


def test_detects_gzip_by_content(small: Path):
    expected = load(small, protocol="five-class").sha256()
    path = small / "train-images-idx3-ubyte"
    path.write_bytes(gzip.compress(path.read_bytes(), 1))
    assert load(small, protocol="five-class").sha256() == expected


IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        (
            IMAGES,
            lambda content: content[:-1],
            "ROOT/train-images-idx3-ubyte has 470415 bytes, expected 470416 for the shape "
            "600 x 28 x 28; it is truncated or damaged, download it again",
        ),
        (
            LABELS,
            lambda content: content + b"\0",
            "ROOT/train-labels-idx1-ubyte has 609 bytes, expected 608 for the shape 600; "
            "it is truncated or damaged, download it again",
        ),
        (
            LABELS,
            lambda content: content[:6],
            "ROOT/train-labels-idx1-ubyte has 6 bytes, expected 8 for the shape 0; "
            "it is truncated or damaged, download it again",
        ),
        (
            IMAGES,
            lambda content: b"<html>" + content,
            "ROOT/train-images-idx3-ubyte starts with 3c 68 74 6d, expected 00 00 08 03: "
            "an idx file of unsigned bytes with 3 axes; download it again",
        ),
        (
            LABELS,
            lambda content: encode_idx(np.zeros(599, np.uint8)),
            "ROOT/train-images-idx3-ubyte has 600 images, but ROOT/train-labels-idx1-ubyte has 599 "
            "labels, expected one for each image; download both again",
        ),
        (
            LABELS,
            lambda content: content[:-3] + b"\x0b\0\0",
            "ROOT/train-labels-idx1-ubyte: the label at index 597 is 11, expected 0 to 9; "
            "download the file again",
        ),
        (
            LABELS,
            lambda content: gzip.compress(content)[:-10],
            "ROOT/train-labels-idx1-ubyte cannot be decompressed (Compressed file ended before the "
            "end-of-stream marker was reached); download it again",
        ),
    ],
)
def test_names_a_damaged_file_and_the_damage(small: Path, name: str, damage, message: str):
    (small / name).write_bytes(damage((small / name).read_bytes()))
    assert load_error(small, protocol="five-class") == message


def test_names_a_missing_file(small: Path):
    (small / "t10k-labels-idx1-ubyte").unlink()
    assert load_error(small, protocol="five-class") == (
        "ROOT contains none of t10k-labels-idx1-ubyte, t10k-labels-idx1-ubyte.gz, "
        "t10k-labels.idx1-ubyte, t10k-labels.idx1-ubyte.gz; "
        "set --root to a folder that contains MNIST's idx files, such as train-images-idx3-ubyte, "
        "with or without .gz"
    )


def test_rejects_an_unknown_protocol(small: Path):
    assert load_error(small, OptionError, protocol="irm") == (
        "--protocol is 'irm', expected subpopbench or five-class"
    )
