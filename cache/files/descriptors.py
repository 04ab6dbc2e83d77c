"""The limit of open files of this process."""

import os

try:
    import resource
except ModuleNotFoundError:  # Windows has no such limit.
    resource = None

# More than any command needs; some systems allow 256 by default and any number on request.
ENOUGH = 4096
OPEN_FILES = "/dev/fd"


def increase_file_limit() -> None:
    """Raise the soft limit of open files of this process to `ENOUGH`, or to a lower hard limit.

    A limit that is already higher stays. On Windows, nothing is done.
    """
    if resource is None:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ENOUGH if hard == resource.RLIM_INFINITY else min(ENOUGH, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def free_descriptors() -> int | None:
    """Return the number of files that this process can still open.

    None if there is no limit, or if the system does not report the open ones.
    """
    if resource is None or not os.path.isdir(OPEN_FILES):
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft - len(os.listdir(OPEN_FILES))
