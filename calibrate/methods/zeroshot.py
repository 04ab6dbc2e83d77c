"""CLIP as it is."""

from calibrate.core.experiment import Experiment
from calibrate.methods.fitted import Fitted, HeadClassifier, unselected


def fit(experiment: Experiment) -> Fitted:
    """CLIP's own head, with its own logit scale."""
    return unselected(HeadClassifier(experiment.zeroshot()))
