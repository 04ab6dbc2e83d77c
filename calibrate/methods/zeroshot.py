"""Zero-shot classification: CLIP as it is."""

from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.methods.classifiers import HeadClassifier
from clip_cfr.calibrate.methods.fitted import Fitted, fitted_once
from clip_cfr.calibrate.methods.method import Method

METHOD = Method()


def fit(experiment: Experiment) -> Fitted:
    """Return CLIP's own head with its own logit scale, for every criterion; nothing is trained."""
    return fitted_once(HeadClassifier(experiment.zeroshot_head()))
