"""Log runs to MLflow: a server, or a database such as `sqlite:///mlflow.db`.

MLflow is imported by functions, so that this module can be imported without the extra.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from time import time
from typing import Any

from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.grid.mask_secrets import mask_secrets
from clip_cfr.calibrate.tracking.tracked_run import TrackedRun

# MLflow's own variable; the name otherwise.
EXPERIMENT, DEFAULT_EXPERIMENT = "MLFLOW_EXPERIMENT_NAME", "clip-cfr"
RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
# Values in one request, which MLflow limits.
BATCH, PARAM_BATCH = 1000, 100


class MlflowTracker:
    """Tracker that logs to MLflow, with runs below runs as nested runs.

    The experiment is `clip-cfr`, or that of the variable MLFLOW_EXPERIMENT_NAME.

    Attributes:
        destination: the URI without passwords, for messages.

    Args:
        uri: tracking URI, such as `sqlite:///mlflow.db` or `http://localhost:5000`.

    Raises:
        ModuleNotFoundError: MLflow is not installed.
        CalibrationError: the experiment can be neither found nor created there.
    """

    def __init__(self, uri: str):
        self.destination = mask_secrets(uri)
        try:
            with one_retry():
                self.client = make_client(uri)
                self.experiment = find_experiment(self.client)
        except ModuleNotFoundError:
            raise
        except Exception as error:  # Of MLflow, its database driver or its HTTP client.
            reason = mask_secrets(first_line(error))
            raise CalibrationError(
                f"--mlflow {self.destination}: cannot be used ({reason}); start the server, or "
                "name a database such as sqlite:///mlflow.db"
            ) from error

    def log(self, run: TrackedRun) -> None:
        """Log a run and those below it.

        Raises:
            MlflowException: a request fails; MLflow repeats it several times before.
        """
        self.log_below(run, {})

    def log_below(self, run: TrackedRun, parent: dict[str, str]) -> None:
        """Log a run with additional tags, which name the run above it; then those below it."""
        note = {"mlflow.note.content": run.text} if run.text else {}
        tags = {**run.tags, **parent, **note}
        created = self.client.create_run(self.experiment, run_name=run.name, tags=tags)
        identifier = created.info.run_id
        for part in batches(parameters_of(run), PARAM_BATCH):
            self.client.log_batch(identifier, params=part)
        for part in batches(metrics_of(run), BATCH):
            self.client.log_batch(identifier, metrics=part)
        for child in run.children:
            self.log_below(child, {"mlflow.parentRunId": identifier})
        self.client.set_terminated(identifier)


def make_client(uri: str) -> Any:
    """Return an `MlflowClient`; MLflow reports its usage only if the user's environment says so."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # Is read by the import.
    from mlflow.tracking import MlflowClient

    return MlflowClient(uri)


def find_experiment(client: Any) -> str:
    """Return the id of the experiment, which is created if it is missing."""
    name = os.environ.get(EXPERIMENT) or DEFAULT_EXPERIMENT
    found = client.get_experiment_by_name(name)
    return client.create_experiment(name) if found is None else found.experiment_id


@contextmanager
def one_retry() -> Iterator[None]:
    """Let MLflow repeat a failed request once in the block, unless the user set its variable.

    By default it repeats for minutes, in which nothing would be known of a wrong address.
    """
    given = os.environ.get(RETRIES)
    os.environ.setdefault(RETRIES, "1")
    try:
        yield
    finally:
        if given is None:
            del os.environ[RETRIES]


def parameters_of(run: TrackedRun) -> list:
    """Return the hyperparameters of a run as `Param`."""
    from mlflow.entities import Param

    return [Param(name, str(value)) for name, value in run.parameters.items()]


def metrics_of(run: TrackedRun) -> list:
    """Return the curves of a run, then its final metrics at step 0, as `Metric`."""
    from mlflow.entities import Metric

    now = int(1000 * time())
    curves = [
        Metric(name, value, now, step)
        for name, values in run.curves.items()
        for step, value in values.items()
    ]
    return [*curves, *(Metric(name, value, now, 0) for name, value in run.metrics.items())]


def batches(values: list, size: int) -> Iterator[list]:
    """Yield a list in parts of at most `size` values."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


def first_line(error: Exception) -> str:
    """Return the type and the first line of an error."""
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
