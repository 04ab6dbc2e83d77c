"""Read and write a run folder as bytes by file name, replaced as a whole and checked on reading."""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from clip_cfr.cache.files import folder_kind
from clip_cfr.cache.files.atomic import write_and_sync
from clip_cfr.cache.files.folder_kind import FolderKind, is_of_kind
from clip_cfr.cache.files.indexed_folder import replace_folder, reserve_folder

RUN = FolderKind(
    noun="run",
    article="a",
    format="clip-cfr-run",
    version=2,
    index="run.json",
    suffixes=(".json", ".csv", ".csv.gz", ".npz"),
)


def reserve_run_folder(
    directory: Path, overwrite: bool, inputs: Iterable[Path | None] = ()
) -> AbstractContextManager[Path]:
    """Hold the lock of a run folder in a block, after the checks of `reserve_folder`."""
    return reserve_folder(RUN, directory, overwrite, inputs)


def check_run_directory(directory: Path, overwrite: bool) -> None:
    """Raise the errors of `reserve_run_folder` before anything is trained.

    The lock is released at once. Missing parent folders are created, but not the folder itself.
    """
    with reserve_run_folder(directory, overwrite):
        pass


def is_run(directory: Path) -> bool:
    """Return whether `run.json` in a folder names the format of a run, of any version."""
    return is_of_kind(RUN, directory)


def write_folder(directory: Path, files: Mapping[str, bytes], overwrite: bool) -> None:
    """Write files and their index into a temporary folder, and rename it to `directory`.

    The caller has reserved the folder.

    Args:
        directory: the run folder; an older run in it is removed as a whole.
        files: the bytes of each file by relative name, such as `heads/erm-seed0.npz`.
        overwrite: whether an older run may be replaced.

    Raises:
        CacheError, OSError: as in `replace_folder`.
    """
    with replace_folder(RUN, directory, overwrite, files) as temporary:
        for name, data in files.items():
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            write_and_sync(temporary / name, data)


def read_folder(directory: Path) -> dict[str, bytes]:
    """Return the bytes of the files of a run, by name, after checking their SHA-256.

    Raises:
        CacheError: the folder is not a run, or of another version.
        FieldError: a file or the index is missing or damaged.
    """
    return folder_kind.read_folder(RUN, directory, "calibrate")
