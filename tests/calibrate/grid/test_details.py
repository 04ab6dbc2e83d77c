"""Details of a fit: predictions as text and back, with every criterion and the calibration set."""

from base64 import b64encode

import numpy as np
import pytest

from clip_cfr.calibrate.core.settings import selections_of
from clip_cfr.calibrate.grid.details import pack_correct, unpack_correct
from clip_cfr.calibrate.grid.make_details import make_details
from clip_cfr.calibrate.grid.point_result import SeedResult
from clip_cfr.calibrate.grid.points import measure_seed
from clip_cfr.calibrate.methods import fit


@pytest.mark.parametrize("rows", [1, 8, 13])
def test_predictions_survive_packing(rng, rows):
    correct = rng.random(rows) < 0.5
    np.testing.assert_array_equal(unpack_correct(pack_correct(correct), rows), correct)


def test_too_few_predictions_are_an_error():
    with pytest.raises(ValueError, match="expected 9 predictions, found 8"):
        unpack_correct(b64encode(b"a").decode(), 9)


def test_details_of_cfr_agree_with_its_metrics(experiment):
    fitted = fit("cfr", experiment)
    result = measure_seed(experiment, fitted, "cfr", True)
    details, task = result.details, experiment.task
    assert list(details.test_correct) == list(selections_of(False))
    rows = task.rows("test")
    correct = unpack_correct(details.test_correct["worst-class"], len(rows))
    assert correct.mean() == pytest.approx(result.test["average"])
    assert details.val["worst-class"]["worst_class"] == result.val["worst_class"]
    assert sum(details.calibration_groups) == len(experiment.calibration_set.rows)
    assert SeedResult.from_json(result.to_json()) == result


def test_a_method_without_calibration_set_has_none(experiment):
    assert make_details("erm", experiment, fit("erm", experiment)).calibration_groups is None


def test_results_without_details_are_stored_as_before(experiment):
    result = measure_seed(experiment, fit("zeroshot", experiment), "zeroshot", False)
    assert set(result.to_json()) == {"seed", "selected_step", "val", "test"}
