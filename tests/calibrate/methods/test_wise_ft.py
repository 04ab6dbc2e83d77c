"""WiSE-FT: its ends are zero-shot and ERM, and alpha is the best on val."""

import numpy as np
import pytest

from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.prepared import prepare
from clip_cfr.calibrate.core.settings import CRITERIA, SELECTIONS, WORST_NAMED_GROUP, selections_of
from clip_cfr.calibrate.methods import fit, wise_ft
from clip_cfr.calibrate.methods.checks import check_task
from tests.calibrate.inferred import inferred_value
from tests.calibrate.outcomes import fit_and_evaluate
from tests.calibrate.synthetic import make_task, quick_settings, unit


@pytest.fixture(scope="module", params=["no bias", "bias, float16", "features in a file"])
def trained(request):
    """Experiments on classes that overlap, so that each criterion selects another step."""
    arguments = {"bias": True, "dtype": np.float16} if "bias," in request.param else {}
    task = make_task(core=1, spurious=1, **arguments)
    resident_rows = 700 if "file" in request.param else None
    return Experiment(prepare(task, resident_rows), quick_settings(erm_lr=1e-2), 4)


@pytest.mark.parametrize(("alpha", "end"), [(0.0, "zeroshot"), (1.0, "erm")])
def test_the_ends_are_zero_shot_and_erm_to_the_bit(trained, monkeypatch, alpha, end):
    monkeypatch.setattr(wise_ft, "ALPHAS", (alpha,))
    found, expected = (fit_and_evaluate(each, trained) for each in ("wise-ft", end))
    others = expected.fitted.classifiers["last"].arrays(trained)
    for selection in selections_of(has_named=False):
        arrays = found.fitted.classifiers[selection].arrays(trained)
        assert arrays.keys() == others.keys()
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, others[name], err_msg=f"{selection} {name}")
        assert found.metrics[selection] == expected.metrics["last"]


def test_half_way_is_the_mean_of_the_weights(trained):
    start, end = trained.zeroshot_head(), trained.erm.last
    found = trained.head_arrays(wise_ft.interpolate(start, end, 0.5))
    first, second = trained.head_arrays(start), trained.head_arrays(end)
    mean = (first["projection"].astype(float) + second["projection"]) / 2
    assert found["projection"] == pytest.approx(mean, rel=1e-4, abs=1e-6)
    scale = np.sqrt(float(first["logit_scale"]) * float(second["logit_scale"]))
    assert found["logit_scale"] == pytest.approx(scale, rel=1e-5)
    if "bias" in first:
        assert found["bias"] == pytest.approx((first["bias"] + second["bias"]) / 2, rel=1e-4)


def val_accuracies(task, arrays):
    """Return the criteria on val of a head, computed in float64."""
    rows = task.rows("val")
    projected = task.features[rows].astype(float) @ arrays["projection"] + arrays.get("bias", 0)
    guesses = (unit(projected) @ task.class_embeddings.T).argmax(axis=1)
    correct = guesses == task.labels[rows]

    def lowest(cells):
        return min(correct[cells[rows] == each].mean() for each in np.unique(cells[rows]))

    worst_class, worst_group = lowest(task.labels), lowest(task.groups)
    values = {"worst-class": worst_class, "average": correct.mean(), "worst-group": worst_group}
    values |= {"worst-named-group": worst_class, "last": worst_class}
    return {**values, "inferred-groups": inferred_value(task, correct)}


def test_each_criterion_chooses_its_best_alpha(trained):
    fitted = fit("wise-ft", trained)
    start, end = map(trained.head_arrays, (trained.zeroshot_head(), trained.erm.last))
    for selection in SELECTIONS:
        values = {}
        for alpha in np.arange(11) / 10:
            mixed = {
                name: (1 - alpha) * start[name].astype(float) + alpha * end[name] for name in end
            }
            values[float(alpha)] = val_accuracies(trained.task, mixed)[selection]
        assert fitted.chosen[selection]["alpha"] == max(values, key=values.get), selection


def test_no_end_is_better_on_val(trained):
    found, *ends = (
        fit_and_evaluate(each, trained).metrics for each in ("wise-ft", "zeroshot", "erm")
    )
    for selection in (each for each in CRITERIA if each != WORST_NAMED_GROUP):
        metric = selection.replace("-", "_")
        value = getattr(found[selection]["val"], metric)
        assert value >= max(getattr(each["last"]["val"], metric) for each in ends)


def test_an_erm_stage_that_diverged_is_named(task):
    with pytest.raises(CalibrationError, match="erm diverged"):
        fit("wise-ft", Experiment(prepare(task), quick_settings(erm_lr=1e30), 0))


def test_needs_what_erm_needs(task):
    for name in ("erm", "wise-ft"):
        with pytest.raises(CalibrationError, match="--hold-rows 367"):
            check_task(task, quick_settings(), [name], 367)
