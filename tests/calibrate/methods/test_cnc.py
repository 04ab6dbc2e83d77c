"""CnC end to end: its minibatches, its loss, and that it does what it is for."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from clip_cfr.calibrate.core.cnc import CncBatch, CncHyperparameters, CncObjective
from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.experiment import Experiment, StageCache
from clip_cfr.calibrate.core.head import embed, logits
from clip_cfr.calibrate.core.prepared import prepare
from clip_cfr.calibrate.core.stage_spec import IDENTIFICATION_STAGE
from clip_cfr.calibrate.methods import cnc, fit
from tests.calibrate import reference
from tests.calibrate.outcomes import fit_and_evaluate
from tests.calibrate.synthetic import quick_settings


def predictions(experiment) -> np.ndarray:
    everything = np.arange(len(experiment.task.labels))
    return experiment.probabilities(experiment.identification_head, everything).argmax(axis=1)


def test_minibatches_are_balanced_over_right_and_wrong_rows_of_each_class(experiment, task):
    batches, predicted = next(cnc.make_segments(experiment)).stage.batches, predictions(experiment)
    assert batches.rows.shape == (60, 32)
    assert set(batches.rows.reshape(-1)) <= set(task.rows("train"))
    assert (batches.predicted == predicted[batches.rows]).all()
    for rows in batches.rows:
        cells = 2 * task.labels[rows] + (task.labels[rows] == predicted[rows])
        assert np.bincount(cells, minlength=4).tolist() == [8, 8, 8, 8]


def test_a_step_is_the_weighted_sum_of_both_terms(experiment, task):
    """Against loops in float64, with weight 0.3."""
    segment = next(cnc.make_segments(experiment))
    batch = CncBatch(*(jnp.asarray(each[0]) for each in segment.stage.batches))
    hyperparameters = CncHyperparameters(*map(jnp.float32, (0.3, 0.2, 0.0)))
    head, data = segment.stage.head, segment.data
    loss, (_, logged) = CncObjective().loss(
        head, None, batch, data, hyperparameters, jax.random.key(0)
    )
    embeddings = embed(head, data.features.gather(batch.rows))
    labels, predicted = task.labels[np.asarray(batch.rows)], np.asarray(batch.predicted)
    contrastive = reference.cnc(np.asarray(embeddings.unit), labels, predicted, 0.2)
    scores = np.asarray(logits(head, embeddings, data.class_embeddings), float)
    entropy = reference.cross_entropy(scores, labels)
    assert float(logged["contrastive"]) == pytest.approx(contrastive, rel=1e-4)
    assert float(logged["cross_entropy"]) == pytest.approx(entropy, rel=1e-4)
    assert float(loss) == pytest.approx(0.3 * contrastive + 0.7 * entropy, rel=1e-4)


def test_the_contrast_is_what_falls_in_training(experiment):
    only = experiment.with_settings(replace(experiment.settings, cnc_weight=1.0, lr=1e-2))
    contrastive = fit("cnc", only).history["contrastive"]
    assert contrastive[-1] < 0.9 * contrastive[0]


def test_repairs_the_worst_group_without_its_labels(experiment):
    found, erm = (
        fit_and_evaluate(name, experiment).metrics["worst-class"]["test"] for name in ("cnc", "erm")
    )
    assert found.worst_group > erm.worst_group + 0.2


def test_serves_many_classes(many_class_task):
    experiment = Experiment(
        prepare(many_class_task), quick_settings(lr=1e-2, identification_lr=1e-2, erm_lr=1e-2), 0
    )
    history = fit("cnc", experiment).history
    assert all(np.isfinite(column).all() for column in history.values())
    assert (history["contrastive"] > 0).all()


def test_serves_windows_of_resident_rows(task):
    experiment = Experiment(prepare(task, resident_rows=700), quick_settings(), 0)
    assert np.isfinite(fit("cnc", experiment).history["loss"]).all()


def test_without_errors_there_is_nothing_to_contrast(experiment, task):
    perfect = np.eye(2, dtype=np.float32)[task.labels[task.rows("train")]]
    cached = {IDENTIFICATION_STAGE: StageCache(None, {"identification": perfect})}
    with pytest.raises(CalibrationError) as error:
        fit("cnc", replace(experiment, shared=cached))
    assert str(error.value) == (
        "cnc contrasts training rows that the identification head misclassifies with others, and "
        "it misclassifies none: train it less (--identification-steps, --identification-lr), or "
        "leave the method out"
    )
