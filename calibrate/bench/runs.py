"""Whole runs of the command line as a user starts them: seconds, start-up, and peak memory."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clip_cfr.calibrate.bench.sizes import Sizes, Splits
from clip_cfr.calibrate.bench.synthetic import synthetic_task
from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.task import SPLITS, Task

MEGA = 1e6
MEASURED = str(Path(__file__).with_name("measure_command.py"))
# Enough to touch all rows; memory does not depend on how often.
FEW_STEPS = ("--steps", "40", "--erm-steps", "40")


@dataclass(frozen=True)
class Run:
    """What a command printed as JSON, its seconds from start to exit, and its peak memory."""

    printed: dict[str, Any]
    seconds: float
    rss_mb: float


@dataclass(frozen=True)
class CommandLine:
    """The words that start the command line, and a folder for its files."""

    words: Sequence[str]
    folder: Path

    def run(self, *options: str | Path) -> Run:
        """A command, run to its end.

        Raises:
            CalibrationError: it failed; with the last line that it said.
        """
        command = [*self.words, *map(str, options), "--json"]
        report = self.folder / "measured.json"
        # -P: no module beside the script may take the place of one of Python's own.
        measured = [sys.executable, "-P", MEASURED, str(report), *command]
        done = subprocess.run(measured, capture_output=True, text=True)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["without a word"])[-1]
            raise CalibrationError(f"{' '.join(command)}: exit code {done.returncode}: {last}")
        return Run(json.loads(done.stdout), **json.loads(report.read_text()))

    def cache_of(self, name: str, task: Task) -> Path:
        """A cache of a task, made with the `import` command."""
        cache = self.folder / f"{name}.h5"
        files = write_embeddings(self.folder, task)
        self.run("import", *files, "--out", cache)
        return cache

    def calibrate(self, cache: Path, *options: str) -> Run:
        """A run of `calibrate` on a cache."""
        run = self.folder / "run"
        return self.run("calibrate", "--cache", cache, "--out", run, "--overwrite", *options)


def write_embeddings(folder: Path, task: Task) -> list[str | Path]:
    """The options of `import` that name the files written here."""
    arrays = {
        "--features": task.features,
        "--projection": task.projection,
        "--class-embeddings": task.class_embeddings,
    }
    options: list[str | Path] = []
    for option, array in arrays.items():
        options += [option, folder / f"{option[2:]}.npy"]
        np.save(options[-1], array)
    columns = zip(task.labels, task.attributes, task.splits, strict=True)
    lines = [f"{n}.jpg,{y},{a},{SPLITS[split]}" for n, (y, a, split) in enumerate(columns)]
    metadata = folder / "metadata.csv"
    metadata.write_text("\n".join(["filename,label,attribute,split", *lines, ""]))
    return [*options, "--metadata", metadata]


def run_figures(command_line: CommandLine, sizes: Sizes) -> dict[str, float]:
    """Seconds and memory of the second of two runs; programs that the first compiled are kept."""
    cache = command_line.cache_of("waterbirds", task_of(sizes, sizes.rows))
    for _ in range(2):
        run = command_line.calibrate(cache, *sizes.run_options)
    cache.unlink()
    parts = run.printed["seconds"]
    return {
        "calibrate_seconds": run.seconds,
        "calibrate_rss_mb": run.rss_mb,
        "startup_seconds": parts["import"] + parts["compile"],
        "startup_import_seconds": parts["import"],
        "startup_compile_seconds": parts["compile"],
    }


def celeba_figures(command_line: CommandLine, sizes: Sizes) -> dict[str, float]:
    """The size of a cache as large as that of CelebA, and the peak memory of a short run on it."""
    cache = command_line.cache_of("celeba", task_of(sizes, sizes.celeba_rows))
    size = cache.stat().st_size
    run = command_line.calibrate(cache, *FEW_STEPS)
    cache.unlink()
    return {"celeba_cache_mb": size / MEGA, "celeba_rss_mb": run.rss_mb}


def task_of(sizes: Sizes, rows: Splits) -> Task:
    """A synthetic task of the benchmark's widths."""
    return synthetic_task(rows, sizes.dim, sizes.embedding)
