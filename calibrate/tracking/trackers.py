"""Open trackers before training, and log to them afterwards."""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol, runtime_checkable

from clip_cfr.cache.packages import is_installed
from clip_cfr.calibrate.grid.mask_secrets import mask_secrets
from clip_cfr.calibrate.tracking.tracked_run import TrackedRun

logger = logging.getLogger(__name__)


@runtime_checkable
class Tracker(Protocol):
    """Logs finished runs.

    Attributes:
        destination: where it logs to, as text for messages.
    """

    destination: str

    def log(self, run: TrackedRun) -> None:
        """Log a run and those below it."""


def open_trackers(log_dir: str | Path | None, mlflow: str | None) -> tuple[Tracker, ...]:
    """Return the trackers asked for, after checking that each can be logged to.

    Args:
        log_dir: folder of TensorBoard; None for none.
        mlflow: tracking URI of MLflow; None for none.

    Raises:
        ModuleNotFoundError: tensorboard or MLflow is not installed.
        CacheError: the folder cannot be written.
        CalibrationError: MLflow has no experiment at the URI, and none can be created.
    """
    needed = {"tensorboard": log_dir, "mlflow": mlflow}
    for package, given in needed.items():
        if given is not None and not is_installed(package):
            raise ModuleNotFoundError(package, name=package)
    trackers: list[Tracker] = []
    if log_dir is not None:
        from clip_cfr.calibrate.tracking.tensorboard_log import TensorBoardTracker

        trackers.append(TensorBoardTracker(Path(log_dir)))
    if mlflow is not None:
        from clip_cfr.calibrate.tracking.mlflow_log import MlflowTracker

        trackers.append(MlflowTracker(mlflow))
    return tuple(trackers)


def log_run(trackers: Iterable[Tracker], run: TrackedRun) -> None:
    """Log a run to every tracker; a failure is a warning, since the result exists by then."""
    for tracker in trackers:
        try:
            tracker.log(run)
        except Exception as error:  # Of any library below the tracker, such as an HTTP client.
            first_line = str(error).partition("\n")[0]
            logger.warning(
                "warning: the result could not be logged to %s (%s: %s)",
                tracker.destination,
                type(error).__name__,
                mask_secrets(first_line),
            )
