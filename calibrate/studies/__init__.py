"""The open questions of the paper, each one study: points to fit, and an answer from the results.

One module for each study, with its declaration `STUDY`. To add a study, add its module here and its
line to `STUDY_QUESTIONS`. The module of `a-study` is `a_study`. Modules are imported when they are
used, so that help texts need no JAX.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from clip_cfr.cache.lazy import lazy_exports

if TYPE_CHECKING:
    from clip_cfr.calibrate.studies.study import Study

# The name of each study, and the question that it answers.
STUDY_QUESTIONS = {
    "strategies": "Which samples of positives and negatives, and which losses, does CFR need?",
    "calibration-size": "How many misclassified rows does CFR need, and which ones?",
    "dps-uncertainty": "Should DPS weight the rows of a centroid by their certainty?",
    "negatives": "Do nearest-neighbour negatives beat random ones, and at which batch size?",
    "calibration-quality": "Which head's errors make the best calibration set?",
    "selection": "How much does CFR depend on the criterion and the rows that select the head?",
}
STUDIES = tuple(STUDY_QUESTIONS)

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "StudyResult": "clip_cfr.calibrate.studies.result",
        "run_study": "clip_cfr.calibrate.studies.run",
    },
)


def load_study(name: str) -> "Study":
    """Return the declaration of a study; import its module.

    Args:
        name: one of `STUDIES`.
    """
    return import_module(f"clip_cfr.calibrate.studies.{name.replace('-', '_')}").STUDY
