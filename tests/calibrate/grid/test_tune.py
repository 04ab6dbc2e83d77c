"""Tuning of the methods of a comparison: choice, resume, failures, and the table beside it."""

from dataclasses import replace

import pytest

from clip_cfr.cache.runs.run import read_run
from clip_cfr.cache.write.writer import write_cache
from clip_cfr.calibrate.comparison.formats import markdown
from clip_cfr.calibrate.comparison.tables import methods_table
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.grid import worker
from clip_cfr.calibrate.grid.calibrate_command import tuned_commands
from clip_cfr.calibrate.pipeline import calibrate_cache
from clip_cfr.calibrate.progress import SilentReporter
from clip_cfr.calibrate.run_folder import read_result
from tests.cli.test_calibrate import make_cache, without_val

SETTINGS = Settings(
    **{"steps": 20, "identification_steps": 60, "identification_lr": 3e-4},
    **{"erm_steps": 60, "erm_lr": 3e-4, "evaluations": 5, "precision": "float32"},
)
METHODS = ("zeroshot", "erm", "cfr")


def tune(cache, out=None, **options):
    """Calibrate with two trials of each method, without progress."""
    arguments = {"settings": SETTINGS, "methods": METHODS, "tune": 2, "out": out}
    return calibrate_cache(cache, reporter=SilentReporter(), **{**arguments, **options})


def count_fits(patch, limit=None):
    """Return a list that grows with each fitted trial; after `limit` trials, interrupt."""
    fit_points, fitted = worker.fit_points, []

    def fit_and_count(*arguments):
        if len(fitted) == limit:
            raise KeyboardInterrupt
        fitted.append(arguments)
        return fit_points(*arguments)

    patch.setattr(worker, "fit_points", fit_and_count)
    return fitted


@pytest.fixture(scope="module")
def cache_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("caches") / "toy.h5"
    write_cache(path, make_cache())
    return path


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("runs") / "run"


@pytest.fixture(scope="module")
def tuned(cache_file, out):
    """Return a tuned comparison over two seeds, whose run folder is `out`."""
    return tune(cache_file, out, seeds=(3, 5))


def test_the_first_trial_has_the_given_settings_and_all_methods_have_as_many(tuned):
    assert {name: len(trials) for name, trials in tuned.tuning.methods.items()} == {
        "erm": 2,
        "cfr": 2,
    }
    first = tuned.tuning.methods["erm"][0].settings
    assert first == {"erm_lr": 3e-4, "weight_decay": 1e-5, "dropout": 0.1}
    assert tuned.tuning.methods["erm"][1].settings != first


@pytest.mark.parametrize("method", ["erm", "cfr"])
def test_a_method_is_fitted_with_the_settings_of_its_best_trial(tuned, cache_file, method):
    chosen = tuned.methods[method].tuned_settings
    best = max(each.val for each in tuned.tuning.methods[method])
    seed = tuned.methods[method].seeds[0]
    assert chosen == tuned.tuning.chosen[method]
    assert seed.seed == 3
    assert seed.by_selection["inferred-groups"].val.inferred_groups == best


def test_a_run_with_the_printed_settings_has_the_same_metrics(tuned, cache_file):
    settings = replace(SETTINGS, **tuned.methods["erm"].tuned_settings)
    alone = calibrate_cache(
        cache_file, settings, methods=["erm"], seeds=(3, 5), reporter=SilentReporter()
    )
    assert alone.methods["erm"].seeds == tuned.methods["erm"].seeds


def test_the_run_folder_has_trials_and_chosen_settings(tuned, out):
    assert read_result(out) == tuned
    config = read_run(out).config
    assert config["settings"]["erm_lr"] == 3e-4
    assert config["tuned_settings"] == tuned.tuning.chosen
    assert tuned.to_json()["methods"]["zeroshot"]["tuned_settings"] is None
    assert "tune" in tuned.seconds


def test_the_table_and_the_commands_show_the_tuning(tuned):
    title = "each method tuned with 2 trials on the validation split (seed 3)"
    assert title in markdown(methods_table(tuned))
    erm, cfr = tuned_commands(tuned)
    assert f"--erm-lr {tuned.methods['erm'].tuned_settings['erm_lr']}" in erm
    assert "--method" not in cfr
    assert erm.count("--seed 3 && ") == 1


def test_an_interrupted_tuning_resumes_and_ends_with_the_same_trials(
    tuned, cache_file, tmp_path, monkeypatch
):
    with monkeypatch.context() as patch:
        count_fits(patch, limit=1)
        with pytest.raises(KeyboardInterrupt):
            tune(cache_file, tmp_path / "run", seeds=(3,), methods=["erm"])
    assert not (tmp_path / "run").exists()
    fitted = count_fits(monkeypatch)
    resumed = tune(cache_file, tmp_path / "run", seeds=(3,), methods=["erm"])
    assert len(fitted) == 1
    assert resumed.tuning.methods["erm"] == tuned.tuning.methods["erm"]


def test_finished_trials_serve_other_methods_and_more_trials(tuned, cache_file, out, monkeypatch):
    fitted = count_fits(monkeypatch)
    more = tune(cache_file, out.with_name("more"), seeds=(3,), methods=["erm"], tune=3)
    assert len(fitted) == 1
    assert more.tuning.methods["erm"][:2] == tuned.tuning.methods["erm"]
    assert len([*out.parent.glob("toy-tuning-*")]) == 1


def test_a_method_all_of_whose_trials_fail_is_in_the_failures(cache_file):
    result = tune(
        cache_file,
        settings=replace(SETTINGS, identification_lr=1e30),
        methods=["zeroshot", "error-set"],
        tune=1,
    )
    assert list(result.methods) == ["zeroshot"]
    assert result.failures["error-set"].startswith(
        "all trials of tuning failed (1 of 1); the first: identification diverged"
    )


def test_a_drawn_val_is_the_same_in_trials_and_in_the_run(tmp_path):
    write_cache(tmp_path / "toy.h5", without_val())
    result = tune(tmp_path / "toy.h5", methods=["erm"], tune=1, val_fraction=0.3)
    [trial] = result.tuning.methods["erm"]
    [seed] = result.methods["erm"].seeds
    assert seed.by_selection["inferred-groups"].val.inferred_groups == trial.val
    assert "--val-fraction 0.3" in tuned_commands(result)[0]
