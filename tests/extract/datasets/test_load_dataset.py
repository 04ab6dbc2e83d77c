import sys
from pathlib import Path
from types import ModuleType

import pytest

from clip_cfr.extract import datasets
from clip_cfr.extract.datasets import DATASETS, DatasetOptions, load_dataset
from clip_cfr.extract.errors import ExtractError, OptionError
from clip_cfr.extract.manifest.image_source import FileSource
from clip_cfr.extract.manifest.manifest import Manifest, make_rows
from tests.extract.datasets.loading import load_error


def load_toy(root: Path, options: DatasetOptions) -> Manifest:
    return Manifest(
        dataset="toy",
        rows=make_rows(
            ["a.png", "b.png", "c.png"], [0, 1, 0], [0, 0, 0], [options.seed or 0, 0, 2]
        ),
        images=FileSource(root, ("a.png", "b.png", "c.png")),
        class_names=("cat", "fox"),
        attribute_names=(),
        class_prompts=(("cat",), ("fox",)),
        attribute_prompts=(),
    )


@pytest.fixture
def toy(monkeypatch) -> str:
    """A data set of one module and one line in the registry."""
    module = ModuleType("clip_cfr.extract.datasets.toy")
    module.OPTIONS, module.load = ("seed",), load_toy
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(datasets.DATASETS, "toy", "toy")
    return "toy"


def test_a_data_set_is_one_module_and_one_line(toy: str, tmp_path: Path):
    manifest = load_dataset(toy, tmp_path, DatasetOptions(seed=2, class_names=("dog", "owl")))
    assert manifest.rows.splits.tolist() == [2, 0, 2]
    assert manifest.class_names == ("dog", "owl")
    assert load_error(toy, tmp_path, OptionError, target="Male") == (
        "toy has no option --target; "
        "its options are --seed, --class-names, --prompts, --val-fraction"
    )


@pytest.mark.parametrize("name", ["toy", "TOY", " Toy"])
def test_names_are_found_in_any_case(toy: str, tmp_path: Path, name: str):
    assert load_dataset(name, tmp_path).dataset == "toy"


def test_options_and_path_objects_are_optional(toy: str, tmp_path: Path):
    assert load_dataset(toy, str(tmp_path)).images.root == tmp_path


def test_rejects_an_unknown_data_set(tmp_path: Path):
    assert load_error("waterbird", tmp_path, OptionError) == (
        "--dataset is 'waterbird', expected one of "
        "digits, waterbirds, celeba, metashift, chexpert, cmnist, folder, webdataset, parquet"
    )


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "waterbirds",
            {"target": "Male"},
            "waterbirds has no option --target; "
            "its options are --metadata, --columns, --class-names, --prompts, --val-fraction",
        ),
        (
            "celeba",
            {"split_by": "patient"},
            "celeba has no option --split-by; "
            "its options are --metadata, --columns, --target, --spurious, --class-names, "
            "--prompts, --val-fraction",
        ),
        (
            "cmnist",
            {"metadata": Path("list.csv")},
            "cmnist has no option --metadata; "
            "its options are --protocol, --seed, --class-names, --prompts, --val-fraction",
        ),
        (
            "waterbirds",
            {"seed": 0},
            "waterbirds has no option --seed; its options are --metadata, --columns, "
            "--class-names, --prompts, --val-fraction",
        ),
    ],
)
def test_rejects_options_of_other_data_sets(tmp_path: Path, name: str, options: dict, message: str):
    assert load_error(name, tmp_path, OptionError, **options) == message


@pytest.mark.parametrize("name", [name for name in DATASETS if name not in ("digits", "folder")])
def test_every_published_data_set_describes_the_root_it_expects(name: str, tmp_path: Path):
    message = load_error(name, tmp_path / "none", ExtractError)
    assert message.startswith(
        "ROOT is not an existing folder; set --root to a folder that contains "
    )
