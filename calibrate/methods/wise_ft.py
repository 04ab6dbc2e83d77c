"""WiSE-FT: interpolate the weights of CLIP's head and of the ERM head.

References:
    Wortsman et al. 2022, arXiv 2109.01903, equation 1. It interpolates all weights of a fine-tuned
    model; ERM trains the projection, its bias and the logarithm of the logit scale here.
"""

import jax

from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.head import Head
from clip_cfr.calibrate.methods.chosen_on_val import choose, make_candidate
from clip_cfr.calibrate.methods.classifiers import HeadClassifier
from clip_cfr.calibrate.methods.fitted import Fitted
from clip_cfr.calibrate.methods.method import Method

METHOD = Method(uses_erm=True, chooses_on_val=True)

# Weights of the ERM head to choose from: 0 is zero-shot, 1 is the last ERM head.
ALPHAS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def fit(experiment: Experiment) -> Fitted:
    """Choose alpha, by each criterion, on the way from CLIP's head to the last ERM head.

    Raises:
        CalibrationError: the ERM stage diverged.
    """
    start, end = experiment.zeroshot_head(), experiment.erm.last
    task, candidates = experiment.task, []
    for alpha in ALPHAS:
        classifier = HeadClassifier(interpolate(start, end, alpha))
        val_logits = classifier.logits(experiment, task.rows("val"))
        candidates.append(make_candidate(task, classifier, val_logits, alpha=alpha))
    return choose(task, candidates)


def interpolate(start: Head, end: Head, alpha: float) -> Head:
    """Return `(1 - alpha) * start + alpha * end`, which is exact at 0 and at 1."""
    return jax.tree.map(lambda a, b: (1 - alpha) * a + alpha * b, start, end)
