"""Log runs to TensorBoard: event files in a folder. Imports tensorboard, but no TensorFlow."""

import time
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.plugins.text.summary_v2 import text_pb
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from clip_cfr.cache.files.indexed_folder import check_writable
from clip_cfr.cache.files.output import check_folder
from clip_cfr.calibrate.tracking.tracked_run import TrackedRun


class TensorBoardTracker:
    """Tracker that writes event files into a folder, which `tensorboard --logdir` shows.

    A run is a folder below it, and the runs below a run are folders in that one.

    Attributes:
        destination: the folder, as text for messages.

    Args:
        folder: the folder; the first run that is logged creates it if it is missing.

    Raises:
        CacheError: no file can be created in the folder.
    """

    def __init__(self, folder: Path):
        check = check_folder if folder.is_dir() else check_writable  # Neither creates the folder.
        check(folder / "events")
        self.folder, self.destination = folder, str(folder)

    def log(self, run: TrackedRun) -> None:
        """Write a run and those below it, into a folder that does not exist yet.

        Raises:
            OSError: a file cannot be written.
        """
        write_events(free_folder(self.folder / run.name), run)


def free_folder(folder: Path) -> Path:
    """Return a folder, or if it exists the first of `FOLDER-2`, `FOLDER-3`, ... that does not.

    TensorBoard would mix the curves of two runs in one folder.
    """
    found, number = folder, 2
    while found.exists():
        found, number = folder.with_name(f"{folder.name}-{number}"), number + 1
    return found


def write_events(folder: Path, run: TrackedRun) -> None:
    """Write the event file of a run, then those of the runs below it."""
    writer = EventFileWriter(str(folder))
    try:
        for step, summary in summaries(run):
            writer.add_event(Event(wall_time=time.time(), step=step, summary=summary))
    finally:
        writer.close()
    for child in run.children:
        write_events(folder / child.name, child)


def summaries(run: TrackedRun) -> list[tuple[int, Any]]:
    """Return step and summary of everything that the event file of a run holds.

    Tags become a table under the text. A run without runs below it is a row of the table of
    hyperparameters; None is the text `None` there, since TensorBoard has no such value.
    """
    parts = [part for part in (run.text, markdown_table(run)) if part]
    texts = [(0, text_pb("summary", "\n\n".join(parts)))] if parts else []
    settings = {k: str(v) if v is None else v for k, v in run.parameters.items()}
    parameters = [] if run.children else [(0, hparams_pb(settings, trial_id=run.name))]
    curves = [
        (step, scalar_pb(name, value))
        for name, values in run.curves.items()
        for step, value in values.items()
    ]
    finals = [(0, scalar_pb(name, value)) for name, value in run.metrics.items()]
    return [*texts, *parameters, *curves, *finals]


def markdown_table(run: TrackedRun) -> str:
    """Return the tags of a run as a table in Markdown; empty without tags."""
    rows = [f"| {name} | {value} |" for name, value in run.tags.items()]
    return "\n".join(["| | |", "|---|---|", *rows]) if rows else ""
