"""Detect whether the process that runs a trial is still alive.

The heartbeats of Optuna's storage are not sufficient: they work with `Study.optimize` only, and
never end a trial whose process died before its first beat.
"""

import os
import socket
import threading
import time
import uuid
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from optuna import Trial
from optuna.exceptions import OptunaError
from optuna.trial import FrozenTrial
from sqlalchemy.exc import SQLAlchemyError

SECONDS_BETWEEN_BEATS = 10.0
# Long, because the clock of another machine may be ahead of ours or behind it.
SECONDS_OF_SILENCE = 90.0
# User attributes of a trial.
BEAT, PROCESS = "alive", "process"
# States of a process in /proc/PID/stat that has ended: zombie and dead.
ENDED_STATES = ("Z", "X", "x")


def process_name() -> str:
    """Return the machine and the id of this process as `MACHINE:PID`, see `machine_name`."""
    return f"{machine_name()}:{os.getpid()}"


@cache
def machine_name() -> str:
    """Return a name of the scope in which a process id is unique: `HOST/BOOT/NAMESPACE`.

    Machines and containers may share a host name. On Linux the id of the boot tells machines apart,
    and the namespace of process ids containers; elsewhere a hardware address does.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = str(os.stat("/proc/self/ns/pid").st_ino)
    except OSError:
        boot, namespace = f"{uuid.getnode():012x}", ""
    return f"{socket.gethostname()}/{boot}/{namespace}"


def is_dead(trial: FrozenTrial) -> bool:
    """Return whether the process of a running trial is dead.

    It is if it ran on this machine and has ended, or, on any machine, if its last beat, or else the
    start of the trial, is more than `SECONDS_OF_SILENCE` ago.
    """
    machine, _, pid = trial.user_attrs.get(PROCESS, "").rpartition(":")
    if machine == machine_name() and not is_running(int(pid)):
        return True
    started = trial.datetime_start.timestamp()
    return time.time() - trial.user_attrs.get(BEAT, started) > SECONDS_OF_SILENCE


def is_running(pid: int) -> bool:
    """Return whether a process of this machine exists and has not ended.

    A killed process whose parent has not waited for it, a zombie, has ended.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # It exists and belongs to another user.
        return True
    return process_state(pid) not in ENDED_STATES


def process_state(pid: int) -> str | None:
    """Return the state letter of a process on Linux, such as `R`, `S` or `Z` (zombie).

    None on other systems, or if there is no such process.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # `PID (NAME) STATE ...`, and the name may hold spaces and brackets.
    return stat.rpartition(")")[2].split()[0]


class Heartbeat:
    """Context manager in which a thread marks trials as alive every `SECONDS_BETWEEN_BEATS`.

    A mark is the time of the beat in the user attribute `BEAT` of a trial.

    Args:
        trials: the running trials of this process.
    """

    def __init__(self, trials: Sequence[Trial]):
        self.trials = trials
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.mark_until_stopped, daemon=True)

    def __enter__(self) -> None:
        self.thread.start()

    def __exit__(self, *_) -> None:
        self.stopped.set()
        self.thread.join()

    def mark_until_stopped(self) -> None:
        """Mark the trials until the block ends; database errors are ignored. Runs in the thread."""
        while not self.stopped.wait(SECONDS_BETWEEN_BEATS):
            for trial in self.trials:
                try:
                    trial.set_user_attr(BEAT, time.time())
                except (OptunaError, SQLAlchemyError):
                    continue
