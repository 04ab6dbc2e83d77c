"""Linear probe: multinomial logistic regression on the features of the training split.

References:
    Radford et al. 2021, arXiv 2103.00020, appendix A.3: L2 logistic regression whose strength is
    chosen on the validation split. Here the features are standardized.
"""

from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.core.task import Task
from clip_cfr.calibrate.methods.fitted import Fitted
from clip_cfr.calibrate.methods.logistic import check_inputs_in_memory, fit_logistic
from clip_cfr.calibrate.methods.method import Method

METHOD = Method(settings=("resample",), chooses_on_val=True)


def check(task: Task, settings: Settings, resident_rows: int | None) -> None:
    """Raise CalibrationError if not all training rows fit in memory."""
    check_inputs_in_memory(task, resident_rows, "linear-probe", task.projection.shape[0])


def fit(experiment: Experiment) -> Fitted:
    """Fit the classifier whose strength each criterion chooses on the validation split."""
    return fit_logistic(experiment)
