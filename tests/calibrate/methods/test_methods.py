"""What all methods have in common."""

import numpy as np
import pytest

from clip_cfr.calibrate.core.settings import SELECTIONS
from clip_cfr.calibrate.methods import GROUP_LABELS, METHODS, fit


@pytest.mark.parametrize("name", METHODS)
def test_every_method_gives_a_classifier_for_every_selection(experiment, task, name):
    fitted, rows = fit(name, experiment), task.rows("val")
    assert tuple(fitted.classifiers) == SELECTIONS
    for each in fitted.classifiers.values():
        logits = each.logits(experiment, rows)
        assert logits.shape == (len(rows), 2)
        assert np.isfinite(logits).all()
        assert all(np.isfinite(array).all() for array in each.arrays(experiment).values())
    lengths = {len(column) for column in fitted.history.values()}
    assert lengths <= {6}


def test_group_labels_are_named():
    assert set(GROUP_LABELS.values()) <= {"none", "train", "val"}
    assert {name: GROUP_LABELS[name] for name in ("zeroshot", "erm", "cfr", "dfr")} == {
        "zeroshot": "none",
        "erm": "none",
        "cfr": "none",
        "dfr": "val",
    }


def test_zero_shot_is_clip_s_own_head(experiment, task):
    found = fit("zeroshot", experiment).classifiers["last"].arrays(experiment)
    assert found["projection"] == pytest.approx(task.projection, rel=1e-5)
    assert found["logit_scale"] == pytest.approx(100, rel=1e-5)
    assert (found["class_embeddings"] == task.class_embeddings).all()
