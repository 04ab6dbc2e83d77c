"""What experiments share, and what they must not."""

from dataclasses import asdict, fields, replace

import jax
import numpy as np
import pytest

from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.core.stage_spec import ERM_STAGE, SHARED_STAGES, STAGE_SETTINGS
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


def test_an_experiment_with_other_settings_shares_stages(experiment):
    other = experiment.with_settings(quick_settings(lr=1e-2))
    assert other.erm is experiment.erm
    for source in ("identification", "zeroshot"):
        assert other.train_logits(source) is experiment.train_logits(source)
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
    used = (ERM_STAGE.lr, ERM_STAGE.steps, *STAGE_SETTINGS)
    assert all(jax.tree.leaves(equal)) == (name not in used)


@pytest.mark.parametrize("stage", SHARED_STAGES, ids=lambda stage: stage.name)
@pytest.mark.parametrize("name", [each.name for each in fields(Settings)])
def test_experiments_share_a_stage_unless_a_setting_of_it_differs(experiment, name, stage):
    settings = replace(experiment.settings, **{name: other_value(name)})
    shares = experiment.with_settings(settings).shared[stage] is experiment.shared[stage]
    assert shares == (name not in (stage.lr, stage.steps, *STAGE_SETTINGS))


def test_the_identification_head_is_that_of_the_last_step_of_a_short_erm(experiment):
    settings = replace(experiment.settings, erm_lr=2e-3, erm_steps=90)
    short = replace(settings, identification_lr=2e-3, identification_steps=90)
    found = experiment.with_settings(short).identification_head
    expected = experiment.with_settings(settings).erm.last
    np.testing.assert_allclose(found.weight, expected.weight, rtol=1e-6)
    assert len(experiment.shared_stage(SHARED_STAGES[0]).info.step) == 6
