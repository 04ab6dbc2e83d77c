"""CLIP as it is."""

from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.methods.fitted import Fitted, HeadClassifier, unselected


def fit(experiment: Experiment) -> Fitted:
    """CLIP's own head, with its own logit scale."""
    return unselected(HeadClassifier(experiment.zeroshot()))
