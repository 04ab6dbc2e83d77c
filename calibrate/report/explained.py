"""The errors of a run in words and slices, as a report shows them."""

from dataclasses import dataclass
from pathlib import Path

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.runs.run import Run
from clip_cfr.calibrate.explain.explain import explain_run
from clip_cfr.calibrate.explain.result import Explanation

BEFORE = "erm"
SPLIT = "val"
TOP = 5


@dataclass(frozen=True)
class ExplainedErrors:
    """The errors of ERM and of the recommended head.

    Attributes:
        found: the explanation of ERM and, if it is another method, of the recommended head.
        reason: why there is none, as a sentence; empty if there is one.
    """

    found: tuple[Explanation, ...] = ()
    reason: str = ""


def explain_errors(
    directory: Path, run: Run, recommended: str | None, cache: Path
) -> ExplainedErrors:
    """Explain the errors of ERM and of the recommended method on the validation split.

    Args:
        directory: the run folder.
        run: its files.
        recommended: the recommended method; None without one.
        cache: the cache of the run.
    """
    if not any(name.startswith(f"{BEFORE}_seed") for name in run.predictions):
        reason = "This run has no predictions of ERM, whose errors this section explains."
        return ExplainedErrors(reason=reason)
    methods = dict.fromkeys(filter(None, (BEFORE, recommended)))
    try:
        return ExplainedErrors(
            tuple(explain_run(directory, each, SPLIT, cache=cache, top=TOP) for each in methods)
        )
    except CacheError as error:
        return ExplainedErrors(reason=f"The errors are not explained: {error}.")
