"""Tells whether the process that runs a trial is still alive.

Not by the storage's own heartbeats: they serve `Study.optimize` alone, and never end a trial whose
process died before its first beat.
"""

import os
import socket
import threading
import time
from collections.abc import Sequence

from optuna import Trial
from optuna.exceptions import OptunaError
from optuna.trial import FrozenTrial
from sqlalchemy.exc import SQLAlchemyError

SECONDS_BETWEEN_BEATS = 10.0
# Of another machine, whose clock may go ahead of ours or behind.
SECONDS_OF_SILENCE = 90.0
BEAT, PROCESS = "alive", "process"


def process_name() -> str:
    """The machine and the number of this process."""
    return f"{socket.gethostname()}:{os.getpid()}"


def is_dead(trial: FrozenTrial) -> bool:
    """Whether a running trial's process is gone from this machine, or silent on another one."""
    machine, _, number = trial.user_attrs.get(PROCESS, "").rpartition(":")
    if machine == socket.gethostname() and not runs_here(int(number)):
        return True
    began = trial.datetime_start.timestamp()
    return time.time() - trial.user_attrs.get(BEAT, began) > SECONDS_OF_SILENCE


def runs_here(number: int) -> bool:
    """Whether this machine has a process of that number."""
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class Heartbeat:
    """While the block runs, trials tell every few seconds that their process is alive."""

    def __init__(self, trials: Sequence[Trial]):
        self.trials = trials
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.beat, daemon=True)

    def __enter__(self) -> None:
        self.thread.start()

    def __exit__(self, *_) -> None:
        self.ended.set()
        self.thread.join()

    def beat(self) -> None:
        """Beats until the block ends; a beat that fails is missed, and the next may succeed."""
        while not self.ended.wait(SECONDS_BETWEEN_BEATS):
            for trial in self.trials:
                try:
                    trial.set_user_attr(BEAT, time.time())
                except (OptunaError, SQLAlchemyError):
                    continue
