"""A connection to Ray: to an instance of this process's own, or to a cluster that runs already."""

import contextlib
import functools
import logging
import os
import secrets
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from clip_cfr.extract.errors import ExtractError

# Ray's sockets lie some 65 characters below its folder, and a socket's path ends at 107.
LONGEST_FOLDER = 30
SECONDS_TO_ANSWER = 10
QUIET = {"logging_level": logging.ERROR, "log_to_driver": False}
# Says nothing to anyone about how Ray is used.
UNWATCHED = {"RAY_USAGE_STATS_ENABLED": "0"}


@contextlib.contextmanager
def connected(address: str | None) -> Iterator[None]:
    """A block within which Ray runs tasks; None starts it on this machine alone, and ends it.

    Raises:
        ExtractError: no cluster answers at the address, or one of another version.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(environment(UNWATCHED if address else UNWATCHED | own_instance()))
        import ray  # Reads the environment.

        stack.enter_context(silence())
        stack.callback(ray.shutdown)
        if address:
            join(address)
        else:
            folder = stack.enter_context(short_folder())
            stack.enter_context(environment({"PYTHONPATH": importable(Path(folder))}))
            # Before the folder goes.
            stack.callback(ray.shutdown)
            cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
            ray.init("local", num_cpus=cores, include_dashboard=False, _temp_dir=folder, **QUIET)
        yield


def join(address: str) -> None:
    """Connects to a cluster."""
    import ray

    try:
        refuse_unheard(address)
        ray.init(address, **QUIET)
    # Ray raises ConnectionError, RuntimeError, ValueError and its own over an address.
    except (OSError, RuntimeError, ValueError, ImportError, ray.exceptions.RayError) as error:
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise ExtractError(
            f"--ray-address {address}: no cluster can be joined there ({first_line}); on a machine "
            "of the cluster give auto, or the HOST:PORT that `ray start --head` told, with the "
            "same versions of Ray and Python on every node"
        ) from error


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """A block within which Ray prints nothing on standard output, which belongs to --json.

    It tells there of every try that failed, and no setting turns that off.
    """
    from ray._private import worker

    printed = worker.print_to_stdstream
    worker.print_to_stdstream = lambda *args, **more: None
    try:
        yield
    finally:
        worker.print_to_stdstream = printed


def refuse_unheard(address: str) -> None:
    """Raises OSError where nothing listens at HOST:PORT; Ray would try for minutes."""
    host, colon, port = address.rpartition(":")
    if colon and port.isdigit() and "/" not in host:
        socket.create_connection((host.strip("[]"), int(port)), SECONDS_TO_ANSWER).close()


@functools.cache
def own_instance() -> dict[str, str]:
    """What keeps an instance of our own to this machine and this user, for the whole process.

    By default Ray listens on all of the machine's addresses and runs what anyone sends. The first
    variable, by its name for other systems, has it listen on 127.0.0.1. It reads them once, when
    it is imported: where that has been done, its settings are someone else's.
    """
    if "ray" in sys.modules:
        return {}
    return {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
    }


def importable(folder: Path) -> str:
    """Return a search path on which `clip_cfr` is the very package that this process runs.

    A checkout that is not installed has no parent folder to name: its folder may be called
    anything. A link in `folder` gives it the package's name.
    """
    package = sys.modules["clip_cfr"].__path__[0]
    (folder / "packages").mkdir()
    (folder / "packages" / "clip_cfr").symlink_to(package, target_is_directory=True)
    return os.pathsep.join(
        [str(folder / "packages"), *filter(None, [os.environ.get("PYTHONPATH")])]
    )


@contextlib.contextmanager
def environment(variables: dict[str, str]) -> Iterator[None]:
    """A block within which environment variables are set."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def short_folder() -> Iterator[str]:
    """A folder for Ray's sockets and logs, which is removed in the end."""
    parent = tempfile.gettempdir()
    parent = parent if len(parent) <= LONGEST_FOLDER else "/tmp"
    with tempfile.TemporaryDirectory(
        prefix="ray-", dir=parent, ignore_cleanup_errors=True
    ) as folder:
        yield folder
