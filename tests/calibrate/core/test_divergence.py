"""A stage whose numbers leave the finite ones is refused, with the option that did it."""

import pytest

from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.methods import fit
from tests.calibrate.synthetic import quick_settings

REMEDY = "or go back to the defaults of --temperature, --logit-scale and --weight-decay"


@pytest.mark.parametrize(
    ("method", "changes", "stage", "option"),
    [
        ("erm", {"erm_lr": 1e30}, "erm", "--erm-lr (it is 1e+30)"),
        ("cfr", {"identification_lr": 1e30}, "identification", "--identification-lr (it is 1e+30)"),
        ("cfr", {"lr": 1e30}, "cfr", "--lr (it is 1e+30)"),
        ("cfr", {"temperature": 1e-45}, "cfr", "--lr (it is 0.001)"),
    ],
)
def test_divergence_names_the_stage_and_the_option(prepared, method, changes, stage, option):
    experiment = Experiment(prepared, quick_settings(**changes), seed=0)
    with pytest.raises(CalibrationError) as error:
        fit(method, experiment)
    assert str(error.value) == (
        f"{stage} diverged at step 10 of 60 (NaN or infinite values); lower {option}, {REMEDY}"
    )


def test_a_method_that_does_not_use_the_stage_is_not_touched(prepared):
    experiment = Experiment(prepared, quick_settings(erm_lr=1e30), seed=0)
    assert fit("zeroshot", experiment).classifiers
