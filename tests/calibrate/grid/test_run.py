"""`search_grid`: the whole search as Python users call it."""

import json
import sqlite3
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from clip_cfr.cache.write.writer import write_cache
from clip_cfr.calibrate.core.errors import CalibrationError, SettingsError
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.grid.axes import Interval
from clip_cfr.calibrate.grid.job import prepare_grid
from clip_cfr.calibrate.grid.result import read_grid_result
from clip_cfr.calibrate.grid.run import search_grid
from tests.cli.test_calibrate import make_cache

SETTINGS = Settings(
    **{"steps": 20, "identification_steps": 60, "identification_lr": 3e-4},
    **{"erm_steps": 60, "erm_lr": 3e-4, "evaluations": 5},
)


@pytest.fixture(scope="module")
def cache_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("caches") / "toy.h5"
    write_cache(path, make_cache())
    return path


def test_returns_the_result_that_it_writes(cache_file, tmp_path):
    out = tmp_path / "grid"
    result = search_grid(cache_file, {"lr": [1e-4, 1e-3]}, SETTINGS, seeds=2, out=out)
    assert sorted(point.settings["lr"] for point in result.points) == [1e-4, 1e-3]
    assert result.seeds == (0, 1)
    assert [point.method for point in result.references] == ["zeroshot", "erm"]
    assert read_grid_result(out) == result
    assert json.loads((out / "grid.json").read_text()) == result.to_json()


def test_warns_before_fitting_of_a_drawn_val_without_attributes(tmp_path, capsys):
    cache = make_cache()
    rows = replace(cache.rows, attributes=np.zeros_like(cache.rows.attributes))
    texts = replace(cache.texts, attribute_names=(), attribute_prompts=())
    provenance = cache.provenance | {"drawn_splits": ["val"]}
    cache = replace(cache, rows=rows, texts=texts, provenance=provenance)
    write_cache(tmp_path / "toy.h5", cache)
    prepare_grid(tmp_path / "toy.h5", {"lr": [1e-4]}, SETTINGS, out=tmp_path / "grid")
    warning = "warning: val was drawn from the same images as train, and no attribute is known. "
    assert capsys.readouterr().err.startswith(warning)


def test_names_the_source_of_imported_class_embeddings(cache_file, tmp_path):
    imported = tmp_path / "imported.h5"
    cache = make_cache()
    texts = cache.texts
    texts = replace(texts, class_prompts=(), class_prompt_embeddings=texts.class_embeddings[:0])
    write_cache(imported, replace(cache, texts=texts))
    for path, source in ((cache_file, "prompts"), (imported, "imported")):
        out = tmp_path / source
        assert search_grid(path, {"lr": [1e-4]}, SETTINGS, out=out).class_embeddings == source


def test_too_few_rows_in_memory_are_an_error_before_anything_is_fitted(cache_file, tmp_path):
    with pytest.raises(SettingsError, match="--hold-rows 500: expected at least 912, for the 400"):
        search_grid(cache_file, {"lr": [1e-4]}, SETTINGS, hold_rows=500, out=tmp_path / "grid")
    assert not (tmp_path / "grid").exists()


def test_samples_from_an_interval(cache_file, tmp_path):
    result = search_grid(
        cache_file,
        {"lr": Interval(1e-4, 1e-2)},
        SETTINGS,
        seeds=(3,),
        sampler="random",
        trials=2,
        out=tmp_path / "grid",
    )
    assert len(result.points) == 2
    assert all(1e-4 <= point.settings["lr"] <= 1e-2 for point in result.points)
    assert {run.seed for point in result.points for run in point.runs} == {3}


def test_returns_a_result_if_every_point_failed(cache_file, tmp_path):
    result = search_grid(cache_file, {"lr": [1e30]}, SETTINGS, out=tmp_path / "grid")
    assert result.best is None
    with pytest.raises(CalibrationError, match="no point could be fitted: cfr diverged"):
        result.check_any_complete()


def test_refuses_arguments_before_it_makes_a_folder(cache_file, tmp_path):
    with pytest.raises(SettingsError, match="there is no method 'mlp'"):
        search_grid(cache_file, {"lr": [1]}, SETTINGS, methods=["mlp"], out=tmp_path / "grid")
    with pytest.raises(SettingsError, match="leave out --storage"):
        search_grid(
            cache_file,
            {"lr": [1]},
            SETTINGS,
            storage="sqlite:///a.db",
            overwrite=True,
            out=tmp_path / "grid",
        )
    assert not (tmp_path / "grid").exists()


RUNS = "UPDATE trial_user_attributes SET value_json = {} WHERE key = 'runs'"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (RUNS.format("'[{'"), "JSONDecodeError"),
        (RUNS.format("'[]'"), "no result"),
        (RUNS.format("replace(value_json, 'group_mean', 'mean')"), "KeyError: 'group_mean'"),
        (RUNS.format("replace(value_json, 'val', 'vam')"), "KeyError"),
        ("UPDATE trials SET state = 'COMPLEUE'", "LookupError"),
        ("UPDATE study_user_attributes SET value_json = '3'", "AttributeError"),
    ],
)
def test_a_damaged_database_is_named(cache_file, tmp_path, change, reason):
    out = tmp_path / "grid"
    search_grid(cache_file, {"lr": [1e-4]}, SETTINGS, out=out)
    with closing(sqlite3.connect(out / "study.db")) as database, database:
        assert database.execute(change).rowcount
    with pytest.raises(CalibrationError) as error:
        search_grid(cache_file, {"lr": [1e-4]}, SETTINGS, out=out)
    start = f"{out / 'study.db'}: the database is damaged: a stored value cannot be decoded ("
    assert str(error.value).startswith(start)
    assert reason in str(error.value)
    assert "start again with --overwrite" in str(error.value)
