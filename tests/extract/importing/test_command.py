"""The command `import`, from files to a cache and the printed notes."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from clip_cfr.cache.read.reader import read_cache, verify_cache
from clip_cfr.cli import main
from tests.extract.importing.examples import METADATA, Inputs

CHECKOUT = Path(__file__).parents[3]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "mine.h5"


def run_import(inputs: Inputs, out: Path, *more: str) -> Result:
    options = {
        "--features": inputs.features,
        "--metadata": inputs.metadata,
        "--projection": inputs.projection,
        "--class-embeddings": inputs.class_embeddings,
        "--out": out,
    }
    arguments = [str(x) for pair in options.items() if pair[1] is not None for x in pair]
    return CliRunner().invoke(main, ["import", *arguments, *more])


def test_writes_a_valid_cache(all_inputs: Inputs, features: np.ndarray, out: Path):
    result = run_import(all_inputs, out, "--dataset", "mine", "--class-names", "dog,cat")
    assert result.exit_code == 0, result.output
    verify_cache(out)
    cache = read_cache(out)
    assert cache.dataset == "mine"
    assert cache.texts.class_names == ("dog", "cat")
    np.testing.assert_array_equal(cache.features, features)
    assert "note:" not in result.output


def test_prints_assumptions_as_notes(inputs: Inputs, out: Path):
    result = run_import(inputs, out)
    assert result.exit_code == 0, result.output
    assert "note: no class embeddings were given: they are the unit-length class means of the" in (
        result.stderr
    )
    assert "note:" not in result.stdout
    result = run_import(inputs, out, "--overwrite", "--json")
    found = json.loads(result.stdout)
    assert found["notes"][0] == "no projection was given: the head starts as the identity, 6 x 6"
    assert found["features"] == {"shape": [5, 6], "dtype": "float32"}


def test_takes_several_files_and_keys(inputs: Inputs, features: np.ndarray, out: Path):
    path, lines = out.with_name("F.npz"), METADATA.splitlines(keepends=True)
    np.savez(path, first=features[:2], last=features[2:])
    for name, rows in (("1.csv", lines[1:3]), ("2.csv", lines[3:])):
        out.with_name(name).write_text(lines[0] + "".join(rows))
    options = ["--features", f"{path}:first", "--features", f"{path}:last"]
    options += ["--metadata", out.with_name("1.csv"), "--metadata", out.with_name("2.csv")]
    result = CliRunner().invoke(main, ["import", *map(str, options), "--out", str(out)])
    assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(read_cache(out).features, features)


def test_keeps_unusable_rows_on_demand(inputs: Inputs, features: np.ndarray, out: Path):
    features[2] = np.nan
    np.save(inputs.features, features)
    assert "--on-error skip" in run_import(inputs, out).stderr
    result = run_import(inputs, out, "--on-error", "skip")
    assert result.exit_code == 0, result.output
    assert "note: " in result.stderr
    assert "1 of 5 rows is not usable" in result.stderr
    assert read_cache(out).valid.tolist() == [True, True, False, True, True]


def test_a_list_is_needed_unless_the_features_bring_labels(inputs: Inputs, out: Path):
    result = run_import(replace(inputs, metadata=None), out)
    assert result.exit_code == 2
    assert "give a list of its rows with --metadata" in result.stderr


def test_replaces_a_cache_only_with_overwrite(inputs: Inputs, out: Path):
    run_import(inputs, out)
    result = run_import(inputs, out)
    assert result.exit_code == 1
    assert str(out) in result.stderr
    assert "--overwrite" in result.stderr


def test_wrong_usage_exits_with_2(inputs: Inputs, out: Path):
    inputs.metadata.write_text(METADATA.replace("dog", "0").replace("cat", "1"))
    assert run_import(inputs, out, "--class-names", "a,a").exit_code == 2
    assert not out.exists()


def test_a_missing_file_exits_with_1(inputs: Inputs, out: Path):
    inputs.features.unlink()
    result = run_import(inputs, out)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == (
        f"Error: {inputs.features} cannot be read (No such file or directory); check the path"
    )
    assert not out.exists()


def test_needs_neither_torch_nor_image_packages(inputs: Inputs, out: Path):
    """A machine that only calibrates does not have them."""
    arguments = ["import", "--features", inputs.features, "--metadata", inputs.metadata]
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
