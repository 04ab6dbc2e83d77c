"""Connect to Ray: to an instance that this process starts, or to a running cluster."""

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

# The paths of Ray's sockets are some 65 characters longer than that of its folder, and the path of
# a socket has at most 107.
MAX_FOLDER_LENGTH = 30
CONNECT_SECONDS = 10
QUIET = {"logging_level": logging.ERROR, "log_to_driver": False}
# `log_to_driver` leaves one way: Ray prints each failed try of a task or actor on the driver's
# standard output, which belongs to the result (--json). Those lines pass Ray's log filter, which
# here drops every line.
QUIET_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "1",
    "RAY_DEDUP_LOGS_SKIP_REGEX": "^",
}


@contextlib.contextmanager
def connect_to_ray(address: str | None) -> Iterator[None]:
    """Connect this process to Ray within the block.

    Ray reads some environment variables when it is imported. If the process has imported it before,
    those settings, among them the silence on standard output, are the importer's.

    Args:
        address: `HOST:PORT` or `auto` for a running cluster; None starts an instance on this
            machine, which ends with the block.

    Raises:
        ExtractError: no cluster answers at the address, or it has another version.
        ModuleNotFoundError: Ray is not installed.
    """
    with contextlib.ExitStack() as stack:
        private = {} if address else private_instance_environment()
        stack.enter_context(set_environment(QUIET_ENVIRONMENT | private))
        import ray

        stack.callback(ray.shutdown)
        if address:
            connect_to_cluster(address)
        else:
            folder = stack.enter_context(make_short_folder())
            stack.enter_context(set_environment({"PYTHONPATH": make_importable(Path(folder))}))
            stack.callback(ray.shutdown)  # Runs before the folder is removed.
            cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
            ray.init("local", num_cpus=cores, include_dashboard=False, _temp_dir=folder, **QUIET)
        yield


def connect_to_cluster(address: str) -> None:
    """Connect to the running cluster at `HOST:PORT`, or `auto` for this machine's.

    Raises:
        ExtractError: no cluster answers there, or it has another version.
    """
    import ray

    try:
        check_reachable(address)
        ray.init(address, **QUIET)
    # ray.init raises ConnectionError, RuntimeError, ValueError or a RayError.
    except (OSError, RuntimeError, ValueError, ImportError, ray.exceptions.RayError) as error:
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise ExtractError(
            f"--ray-address {address}: cannot connect to a cluster there ({first_line}); on a "
            "machine of the cluster give auto, or the HOST:PORT printed by `ray start --head`, "
            "with the same versions of Ray and Python on every node"
        ) from error


def check_reachable(address: str) -> None:
    """Raise OSError if nothing listens at HOST:PORT; Ray itself would try for minutes.

    An address of any other form, such as `auto`, is not checked.
    """
    host, colon, port = address.rpartition(":")
    if colon and port.isdigit() and "/" not in host:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()


@functools.cache
def private_instance_environment() -> dict[str, str]:
    """Return variables that restrict an instance to this machine and this user.

    By default Ray listens on all network addresses and executes what anyone sends. The first
    variable, named after other systems, makes it listen on 127.0.0.1; the others require a random
    token. Ray reads the variables once, on import: the result is empty if it has been imported, and
    the same on every later call.
    """
    if "ray" in sys.modules:
        return {}
    return {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
    }


def make_importable(folder: Path) -> str:
    """Return a PYTHONPATH on which `clip_cfr` is the package that this process runs.

    A checkout that is not installed may have any name, so its parent folder does not help. A link
    to the package is created in the new folder `packages` below `folder`. This process's PYTHONPATH
    follows it.
    """
    package = sys.modules["clip_cfr"].__path__[0]
    (folder / "packages").mkdir()
    (folder / "packages" / "clip_cfr").symlink_to(package, target_is_directory=True)
    return os.pathsep.join(
        [str(folder / "packages"), *filter(None, [os.environ.get("PYTHONPATH")])]
    )


@contextlib.contextmanager
def set_environment(variables: dict[str, str]) -> Iterator[None]:
    """Set environment variables within the block; afterwards they have their old values again."""
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
def make_short_folder() -> Iterator[str]:
    """Yield a temporary folder, removed afterwards, with a path short enough for Ray's sockets."""
    parent = tempfile.gettempdir()
    parent = parent if len(parent) <= MAX_FOLDER_LENGTH else "/tmp"
    with tempfile.TemporaryDirectory(
        prefix="ray-", dir=parent, ignore_cleanup_errors=True
    ) as folder:
        yield folder
