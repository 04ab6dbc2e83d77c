"""Automatic feature reweighting (AFR): refit the last layer on held-out rows that ERM gets wrong.

The first stage trains the ERM head on 80 % of the training rows. Its embeddings are then fixed. The
last layer, which maps embeddings to logits and starts as the class embeddings, is fitted on the
other 20 %, in which rows with a low probability of their class count more.

References:
    Qiu, Potapczynski, Izmailov, Wilson 2023, arXiv 2306.11074, equations 2 to 4. The paper tunes
    gamma and the penalty by worst-group accuracy on the validation split; here each criterion of
    selection chooses both. The optimum is computed; the paper takes a fixed number of steps.
"""

from dataclasses import replace
from itertools import product

import numpy as np
from jaxtyping import Float, Int

from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.experiment import Experiment, empty_caches
from clip_cfr.calibrate.core.head import Head
from clip_cfr.calibrate.core.settings import SELECTIONS, Settings
from clip_cfr.calibrate.core.stage_spec import ERM_STAGE
from clip_cfr.calibrate.core.task import Task
from clip_cfr.calibrate.core.train import Trained
from clip_cfr.calibrate.drawn_val import draw_subjects
from clip_cfr.calibrate.methods.chosen_on_val import Candidate, choose, make_linear_candidates
from clip_cfr.calibrate.methods.classifiers import LogitsClassifier
from clip_cfr.calibrate.methods.fitted import Fitted, make_history
from clip_cfr.calibrate.methods.inputs import load_inputs
from clip_cfr.calibrate.methods.last_layer import fit_last_layer
from clip_cfr.calibrate.methods.logistic import check_memory
from clip_cfr.calibrate.methods.method import Method

METHOD = Method(stage=replace(ERM_STAGE, name="afr"), chooses_on_val=True)

# Fraction of the training rows of each class that the last layer is fitted on.
HELD_OUT_FRACTION = 0.2
# Strengths of the reweighting to choose from; 0 balances the classes only.
GAMMAS = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0)
# Weights of the squared distance to the first stage's last layer to choose from.
PENALTIES = (100.0, 10.0, 1.0, 0.1)


def check(task: Task, settings: Settings, resident_rows: int | None) -> None:
    """Raise CalibrationError if no rows of a class can be held out, or memory is too small."""
    check_memory("afr", len(hold_out(task, seed=0)), task.projection.shape[1])


def fit(experiment: Experiment) -> Fitted:
    """Fit the last layer whose gamma and penalty each criterion chooses on the validation split.

    Raises:
        CalibrationError: no rows of a class can be held out, or the first stage diverged.
    """
    held_out = hold_out(experiment.task, experiment.seed)
    trained = train_first_stage(experiment, held_out)
    step = int(trained.info.step[-1])
    return replace(
        choose(experiment.task, make_candidates(experiment, trained.last, held_out)),
        selected_steps=dict.fromkeys(SELECTIONS, step),
        history=make_history(trained),
    )


def hold_out(task: Task, seed: int) -> Int[np.ndarray, " held_out"]:
    """Return the training rows to hold out, ascending: a fraction of each class.

    Rows of one subject stay together, and so do the copies of a row that was drawn several times.

    Raises:
        CalibrationError: a class has a single training row or subject.
    """
    rows = task.rows("train")
    labels = task.labels[rows]
    subjects = rows if task.subjects is None else task.subjects[rows]
    held_out = rows[draw_subjects(subjects, labels, HELD_OUT_FRACTION, seed)]
    missing = np.setdiff1d(labels, task.labels[held_out])
    if len(missing):
        names = ", ".join(repr(task.class_names[each]) for each in missing)
        raise CalibrationError(
            "afr needs at least two training rows, or subjects, of each class, to hold one out; "
            f"found one of {names}: leave the method out"
        )
    return held_out


def train_first_stage(experiment: Experiment, held_out: Int[np.ndarray, " held_out"]) -> Trained:
    """Train the ERM head without the rows that are held out.

    Raises:
        CalibrationError: the stage diverged.
    """
    valid = experiment.task.valid.copy()
    valid[held_out] = False
    prepared = replace(experiment.prepared, task=replace(experiment.task, valid=valid))
    # The task has the training rows of the seed already.
    settings = replace(experiment.settings, resample=False)
    part = replace(experiment, prepared=prepared, settings=settings, shared=empty_caches())
    return part.train(METHOD.stage, part.erm_objective(), part.erm_segments(METHOD.stage))


def make_candidates(
    experiment: Experiment, head: Head, held_out: Int[np.ndarray, " held_out"]
) -> list[Candidate]:
    """Return a candidate for each gamma and penalty, on the embeddings of the first stage's head.

    The inputs of the last layer are embeddings times the logit scale, and a constant for its bias.
    """
    task, scale = experiment.task, float(np.exp(head.log_scale))
    inputs = load_inputs(experiment, head, held_out, constant=True)
    inputs[:, :-1] *= scale
    start = np.pad(task.class_embeddings.astype(np.float64), ((0, 0), (0, 1)))
    labels, probabilities = task.labels[held_out], experiment.probabilities(head, held_out)
    classifiers = []
    for gamma, penalty in product(GAMMAS, PENALTIES):
        row_weights = weigh_rows(probabilities, labels, gamma)
        layer = fit_last_layer(inputs, labels, row_weights, start, penalty)
        hyperparameters = {"gamma": gamma, "penalty": penalty}
        classifiers.append((make_classifier(head, scale, layer), hyperparameters))
    return make_linear_candidates(experiment, head, classifiers)


def make_classifier(
    head: Head, scale: float, layer: Float[np.ndarray, "classes inputs"]
) -> LogitsClassifier:
    """Return the classifier of embeddings with a last layer; fold the logit scale into it."""
    weight, bias = scale * layer[:, :-1].T, layer[:, -1]
    return LogitsClassifier(weight.astype(np.float32), bias.astype(np.float32), head)


def weigh_rows(
    probabilities: Float[np.ndarray, "rows classes"],
    labels: Int[np.ndarray, " rows"],
    gamma: float,
) -> Float[np.ndarray, " rows"]:
    """Return the weight of each row, beta_y exp(-gamma p_y), scaled to a sum of 1.

    p_y is the probability of the row's class, and beta_y one over the number of rows of the class.
    With gamma 0 every class that occurs has the same total.
    """
    chosen = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    weights = np.exp(-gamma * chosen) / np.bincount(labels)[labels]
    return weights / weights.sum()
