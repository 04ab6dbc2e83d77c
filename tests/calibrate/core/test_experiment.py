"""What experiments share, and what they must not."""

from dataclasses import asdict, fields, replace

import jax
import numpy as np
import pytest

from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.core.stage_spec import ERM_SETTINGS
from tests.calibrate.synthetic import quick_settings

VARIED = {
    "calibration_size": 5.0,
    "nns_pool": "minibatch",
    "negative_pool": "minibatch",
    "precision": "bfloat16",
    "patience": 1,
}


def other_value(name: str):
    """Another value of a setting than the quick one."""
    metadata = {each.name: each.metadata for each in fields(Settings)}[name]
    value = asdict(quick_settings())[name]
    if name in VARIED:
        return VARIED[name]
    if metadata["choices"]:
        return next(each for each in metadata["choices"] if each != value)
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int) else value / 2


def test_an_experiment_with_other_settings_shares_the_erm_stage(experiment):
    other = experiment.with_settings(quick_settings(lr=1e-2))
    assert other.erm is experiment.erm
    assert other.train_logits("erm") is experiment.train_logits("erm")
    assert other.settings.lr == 1e-2


def test_another_seed_shares_nothing(prepared, experiment):
    other = Experiment(prepared, experiment.settings, 1)
    assert other.erm is not experiment.erm


@pytest.mark.parametrize("name", [each.name for each in fields(Settings)])
def test_a_result_is_trained_again_if_a_setting_it_depends_on_differs(prepared, experiment, name):
    settings = replace(experiment.settings, **{name: other_value(name)})
    alone = Experiment(prepared, settings, 0).erm
    equal = jax.tree.map(
        lambda a, b: a.shape == b.shape and bool(np.all(a == b)), alone, experiment.erm
    )
    assert all(jax.tree.leaves(equal)) == (name not in ERM_SETTINGS)
    assert (experiment.with_settings(settings).erm is experiment.erm) == (name not in ERM_SETTINGS)
