"""The command `import`, from files to a cache and the printed notes."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from clip_cfr.cache.read.reader import read_cache, verify_cache
from clip_cfr.cli import main
from clip_cfr.extract.importing.embedding_files import EmbeddingFiles
from tests.extract.importing.examples import METADATA

CHECKOUT = Path(__file__).parents[3]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "mine.h5"


def run_import(files: EmbeddingFiles, out: Path, *more: str) -> Result:
    options = {
        "--features": files.features,
        "--metadata": files.metadata,
        "--projection": files.projection,
        "--class-embeddings": files.class_embeddings,
        "--out": out,
    }
    arguments = [str(x) for pair in options.items() if pair[1] is not None for x in pair]
    return CliRunner().invoke(main, ["import", *arguments, *more])


def test_writes_a_valid_cache(all_files: EmbeddingFiles, features: np.ndarray, out: Path):
    result = run_import(all_files, out, "--dataset", "mine", "--class-names", "dog,cat")
    assert result.exit_code == 0, result.output
    verify_cache(out)
    cache = read_cache(out)
    assert cache.dataset == "mine"
    assert cache.texts.class_names == ("dog", "cat")
    np.testing.assert_array_equal(cache.features, features)
    assert "note:" not in result.output


def test_prints_assumptions_as_notes(files: EmbeddingFiles, out: Path):
    result = run_import(files, out)
    assert result.exit_code == 0, result.output
    assert "note: no class embeddings were given: they are the unit-length class means of the" in (
        result.stdout
    )
    result = run_import(files, out, "--overwrite", "--json")
    found = json.loads(result.stdout)
    assert found["notes"][0] == "no projection was given: the head starts as the identity, 6 x 6"
    assert found["features"] == {"shape": [5, 6], "dtype": "float32"}


def test_replaces_a_cache_only_with_overwrite(files: EmbeddingFiles, out: Path):
    run_import(files, out)
    result = run_import(files, out)
    assert result.exit_code == 1
    assert str(out) in result.stderr
    assert "--overwrite" in result.stderr


def test_wrong_usage_exits_with_2(files: EmbeddingFiles, out: Path):
    files.metadata.write_text(METADATA.replace("dog", "0").replace("cat", "1"))
    assert run_import(files, out, "--class-names", "a,a").exit_code == 2
    assert not out.exists()


def test_a_missing_file_exits_with_1(files: EmbeddingFiles, out: Path):
    files.features.unlink()
    result = run_import(files, out)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == (
        f"Error: {files.features} cannot be read (No such file or directory); check the path"
    )
    assert not out.exists()


def test_needs_neither_torch_nor_image_packages(files: EmbeddingFiles, out: Path):
    """A machine that only calibrates does not have them."""
    arguments = ["import", "--features", files.features, "--metadata", files.metadata]
    arguments = [str(x) for x in (*arguments, "--out", out, "--json")]
    code = (
        "import sys\n"
        "from clip_cfr.cli import main\n"
        f"main({arguments!r}, standalone_mode=False)\n"
        "print([name for name in ('torch', 'transformers', 'PIL', 'openpyxl', 'tokenizers') "
        "if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=CHECKOUT, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
