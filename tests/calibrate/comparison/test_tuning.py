"""The choice of settings from trials, its JSON form and its lines in a table; refused arguments."""

import json
from pathlib import Path

import pytest

from clip_cfr.calibrate.comparison.tuning import (
    OPTIMISM,
    Tuning,
    TuningTrial,
    best_trial,
    check_tuning,
    tunable_settings,
    tuning_notes,
    tuning_title,
)
from clip_cfr.calibrate.core.errors import SettingsError
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.methods import METHODS, load_method

TUNING = Tuning(
    trials=3,
    seed=4,
    criterion="worst-class",
    fixed=("lr",),
    hold_rows=None,
    prompts="simple",
    methods={
        "erm": (
            TuningTrial({"erm_lr": 1e-4}, 0.5),
            TuningTrial({"erm_lr": 1e-3}, 0.75),
            TuningTrial({"erm_lr": 1e-2}, 0.75),
        ),
        "jtt": (
            TuningTrial({"jtt_upweight": 20}, 0.5),
            TuningTrial({"jtt_upweight": 5}, None, "jtt diverged"),
            TuningTrial({"jtt_upweight": 50}, 0.25),
        ),
        "cnc": tuple(TuningTrial({"cnc_weight": each}, None, "no rows") for each in (0, 0.5, 1)),
    },
)
NOT_TUNED = "not tuned: it has no settings to tune"


def test_the_best_trial_on_val_is_chosen_and_of_equal_ones_the_first():
    assert TUNING.chosen == {"erm": {"erm_lr": 1e-3}, "jtt": {"jtt_upweight": 20}}
    assert best_trial(TUNING.methods["cnc"]) is None


def test_chosen_settings_replace_the_given_ones():
    assert TUNING.apply(Settings(steps=7)) == {
        "erm": Settings(steps=7, erm_lr=1e-3),
        "jtt": Settings(steps=7, jtt_upweight=20),
    }


def test_a_method_whose_trials_all_failed_has_a_reason():
    assert TUNING.failures == {
        "cnc": "all trials of tuning failed (3 of 3); the first: no rows",
    }


def test_json_gives_the_same_tuning():
    assert Tuning.from_json(json.loads(json.dumps(TUNING.to_json()))) == TUNING


def test_title_and_notes_say_how_each_method_was_tuned():
    assert tuning_title(TUNING) == [
        "each method tuned with 3 trials on the validation split (seed 4)"
    ]
    assert tuning_notes(TUNING, ["zeroshot", "erm", "jtt", "error-set", "dfr"]) == [
        "Tuned ERM: erm_lr 0.001",
        "Tuned JTT: jtt_upweight 20",
        f"zero-shot: {NOT_TUNED}",
        "error set: not tuned: its settings to tune are fixed (lr, init)",
        "DFR: chooses its settings on validation itself",
        "Fixed, not tuned for any method: lr",
        "Failed trials of JTT: 1 of 3; the first, jtt_upweight 5: jtt diverged",
        OPTIMISM,
    ]


def test_a_result_without_tuning_has_no_lines_on_it():
    assert tuning_title(None) == tuning_notes(None, ["erm"]) == []


def test_fixed_settings_leave_the_search_space():
    assert tunable_settings("error-set", ["lr", "steps"]) == ("init",)


@pytest.mark.parametrize("name", METHODS)
def test_the_documentation_names_the_settings_to_tune(name):
    search = load_method(name).search
    line = f"| `{name}` | {', '.join(f'`{each}`' for each in search)} |"
    page = (Path(__file__).parents[3] / "docs" / "methods.md").read_text(encoding="utf-8")
    assert (line in page.partition("## Equal tuning")[2].splitlines()) == bool(search)


@pytest.mark.parametrize(
    ("trials", "methods", "fixed", "message"),
    [
        (0, ["erm"], [], "--tune 0: expected at least 1 trial"),
        (
            2,
            ["erm"],
            ["learning_rate"],
            "fixed: there is no setting 'learning_rate'; calibrate --help lists them",
        ),
        (
            2,
            ["zeroshot", "dfr"],
            [],
            "--tune: none of zeroshot, dfr has settings to tune; add --method with one of erm, "
            "cfr, cfr-no-contrast, cfr-no-holistic, error-set, jtt, group-dro, cnc, erm-adapter, "
            "contrastive-adapter, or leave out --tune",
        ),
        (
            2,
            ["zeroshot", "error-set"],
            ["init", "steps", "lr"],
            "--tune: all settings to tune of zeroshot, error-set are fixed: lr, init; leave some "
            "out, or leave out --tune",
        ),
    ],
)
def test_refuses_arguments_by_name(trials, methods, fixed, message):
    with pytest.raises(SettingsError) as error:
        check_tuning(trials, methods, fixed)
    assert str(error.value) == message
