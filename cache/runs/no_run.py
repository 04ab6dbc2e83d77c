"""Say what a path is that was given for a run folder."""

import shlex
from pathlib import Path

from clip_cfr.cache.console import program_name
from clip_cfr.cache.format.kinds import CACHE, WORDS
from clip_cfr.cache.runs.folder import RUN, is_run
from clip_cfr.cache.runs.grid_contents import RESULT, STUDY, is_result, is_study
from clip_cfr.cache.runs.study_folder import has_cost, has_points

NAME_A_RUN = "name a folder that calibrate wrote"


def explain_no_run(path: Path) -> str:
    """Return what a path is that is not a run folder, and what to give instead.

    Args:
        path: the path; there is no `run.json` in it.
    """
    if not path.exists():
        return f"{path}: no such folder; {NAME_A_RUN}"
    if not path.is_dir():
        return describe_file(path)
    runs = sorted(each for each in path.iterdir() if is_run(each))
    if runs:
        return f"{path} is not a run folder; name one in it, such as {runs[0]}"
    return describe_folder(path)


def describe_file(path: Path) -> str:
    """Return what a file is that was given for a run folder."""
    from clip_cfr.cache.read.hdf5_file import is_of_kind  # Loads h5py.

    owner = next((each for each in path.absolute().parents if is_run(each)), None)
    if owner is not None:
        return f"{path} is a file of a run folder; name the folder {owner}"
    try:
        kind = next((kind for kind in (CACHE, WORDS) if is_of_kind(path, kind)), None)
    except OSError as error:
        return f"{path}: cannot be read: {error.strerror}; {NAME_A_RUN}"
    if kind is None:
        return f"{path} is a file, not a run folder; {NAME_A_RUN}"
    if kind is WORDS:
        return f"{path} is a {kind.noun}, not a run folder; {NAME_A_RUN}"
    return (
        f"{path} is a {kind.noun}, not a run folder; {NAME_A_RUN}, or calibrate it: "
        f"{program_name()} calibrate --cache {shlex.quote(str(path))}"
    )


def describe_folder(path: Path) -> str:
    """Return what a folder is that was given for a run folder."""
    if is_result(path / RESULT):
        return (
            f"{path} is a grid folder, which holds no heads; calibrate with its best point by the "
            f"command that is printed by: {program_name()} show {shlex.quote(str(path))}"
        )
    if is_study(path / STUDY):
        return f"{path} holds the trials of a grid or of --tune, not a run; {NAME_A_RUN}"
    if has_points(path) or has_cost(path):
        return (
            f"{path} is a study folder, not a run folder; the same study command prints its table "
            f"again, or {NAME_A_RUN}"
        )
    return f"{path}: expected a run folder, found no {RUN.index}; {NAME_A_RUN}"
