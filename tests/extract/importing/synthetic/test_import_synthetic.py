"""`import --synthetic` and its function, from parameters to the cache and the printed note."""

import json
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.read.reader import read_cache, verify_cache
from clip_cfr.cli import main
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.importing.synthetic import import_synthetic as importing
from clip_cfr.extract.importing.synthetic.accuracies import compute_accuracies
from clip_cfr.extract.importing.synthetic.draw import draw_synthetic
from clip_cfr.extract.importing.synthetic.import_synthetic import import_synthetic
from clip_cfr.extract.importing.synthetic.world import SyntheticWorld

WORLD = SyntheticWorld(dim=8, train_rows=40, val_rows=8, test_rows=12, correlation=0.9, seed=3)
OPTIONS = ["--dim", "8", "--train-rows", "40", "--val-rows", "8", "--test-rows", "12"]
OPTIONS += ["--correlation", "0.9", "--seed", "3"]


class StoppedClock(datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime(2026, 1, 1, tzinfo=tz)


def run_import(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["import", *map(str, arguments)])


def test_writes_a_valid_cache_with_parameters_and_accuracies(tmp_path: Path):
    out = tmp_path / "world.h5"
    result = run_import("--synthetic", *OPTIONS, "--out", out)
    assert result.exit_code == 0, result.output
    verify_cache(out)
    cache, arrays = read_cache(out), draw_synthetic(WORLD)
    np.testing.assert_array_equal(cache.features, arrays.features)
    np.testing.assert_array_equal(cache.rows.labels, arrays.labels)
    np.testing.assert_array_equal(cache.rows.attributes, arrays.attributes)
    np.testing.assert_array_equal(cache.texts.class_embeddings, arrays.class_embeddings)
    np.testing.assert_array_equal(cache.head.projection, np.eye(8))
    assert (cache.dataset, cache.rows.ids[41]) == ("synthetic", "val/0000001")
    assert cache.provenance["synthetic"] == {
        "parameters": WORLD.to_json(),
        "worst_group": compute_accuracies(WORLD).to_json(),
    }
    assert result.stderr.splitlines()[0] == (
        "note: the best worst-group accuracy of any classifier is 93.3 %, the best classifier on "
        "the training distribution has 79.2 %, zero-shot has 67.3 %"
    )
    assert "worst_group: optimal 0.9332, train_bayes 0.7918, zeroshot 0.6726" in result.stdout
    shown = CliRunner().invoke(main, ["info", str(out), "--json"]).stdout
    assert json.loads(shown)["provenance"] == cache.provenance


def test_equal_parameters_give_equal_files(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(importing, "datetime", StoppedClock)
    for name in "ab":
        import_synthetic(tmp_path / name, WORLD)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_replaces_a_cache_only_with_overwrite(tmp_path: Path):
    out = tmp_path / "world.h5"
    import_synthetic(out, WORLD, dataset="first")
    with pytest.raises(CacheError, match="--overwrite"):
        import_synthetic(out, WORLD)
    import_synthetic(out, WORLD, dataset="second", overwrite=True)
    assert read_cache(out).dataset == "second"


def test_lack_of_memory_names_a_remedy(tmp_path: Path, monkeypatch):
    def fail(_):
        raise MemoryError

    monkeypatch.setattr(importing, "draw_synthetic", fail)
    out = tmp_path / "world.h5"
    with pytest.raises(ExtractError) as error:
        import_synthetic(out)
    assert str(error.value) == (
        f"{out}: out of memory for synthetic features of 0.0113 GB; give fewer rows with "
        "--train-rows, --val-rows and --test-rows, or a smaller --dim"
    )


WRONG = {
    "--synthetic --correlation 2": "--correlation is 2.0, expected a number from 0 to 1",
    "--synthetic --metadata a.csv": "--metadata does not go with --synthetic",
    "--synthetic --on-error fail": "--on-error does not go with --synthetic",
    "--features F.npy --dim 8": "--dim goes with --synthetic",
    "--dataset mine": "give --features, or draw synthetic features with --synthetic",
}


@pytest.mark.parametrize(("arguments", "message"), WRONG.items())
def test_wrong_options_exit_with_2(arguments: str, message: str, tmp_path: Path):
    result = run_import(*arguments.split(), "--out", tmp_path / "a.h5")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == f"Error: {message}"
    assert not (tmp_path / "a.h5").exists()
