"""Run commands as a user does, and measure their duration, start-up time and peak memory."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clip_cfr.calibrate.bench.measured_run import Run, run_measured
from clip_cfr.calibrate.bench.sizes import Sizes, Splits
from clip_cfr.calibrate.bench.synthetic import synthetic_task
from clip_cfr.calibrate.core.task import SPLITS, Task

MEGA = 1e6
# Enough steps to read all rows; more would not change the peak memory.
FEW_STEPS = ("--steps", "40", "--erm-steps", "40", "--identification-steps", "40")

# Learning rates of the CFR stage; the points share the identification stage.
GRID_RATES = (1e-4, 3e-4, 1e-3, 3e-3)


@dataclass(frozen=True)
class CommandLine:
    """The command line of this program.

    Attributes:
        program: words that start it, before the name of a command.
        folder: folder for the files that its commands write.
    """

    program: Sequence[str]
    folder: Path

    def run(self, *options: str | Path) -> Run:
        """Run a command with `--json` to its end, and measure it.

        Args:
            options: name of the command and its options.

        Raises:
            CalibrationError: its exit code is not 0; with the last line of its standard error.
        """
        return run_measured([*self.program, *map(str, options), "--json"], self.folder)

    @contextmanager
    def temporary_cache(self, name: str, sizes: Sizes, rows: Splits) -> Iterator[Path]:
        """Import a synthetic task with the command `import`, and yield the path of the cache.

        The cache is removed when the block ends without an error.

        Args:
            name: name of the file, without `.h5`.
            sizes: widths of features and embeddings.
            rows: rows of train, val and test.
        """
        cache = self.folder / f"{name}.h5"
        task = synthetic_task(rows, sizes.dim, sizes.embedding)
        self.run("import", *write_embeddings(self.folder, task), "--out", cache)
        yield cache
        cache.unlink()

    def calibrate(self, cache: Path, *options: str) -> Run:
        """Run `calibrate` on a cache; the run folder replaces that of the run before."""
        run = self.folder / "run"
        return self.run("calibrate", "--cache", cache, "--out", run, "--overwrite", *options)


def write_embeddings(folder: Path, task: Task) -> list[str | Path]:
    """Write a task to files, and return the options of `import` that name them.

    The files are `features.npy`, `projection.npy`, `class-embeddings.npy` and `metadata.csv`, with
    lines such as "0.jpg,1,0,train"; files of these names are overwritten.
    """
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


def measure_waterbirds(command_line: CommandLine, sizes: Sizes) -> dict[str, float]:
    """Return time and memory of `calibrate`, and the rate of `grid`, at the size of Waterbirds.

    The keys are `calibrate_seconds`, `calibrate_rss_mb`, `startup_seconds`, the sum of
    `startup_import_seconds` and `startup_compile_seconds`, and `grid_points_per_minute`.
    """
    with command_line.temporary_cache("waterbirds", sizes, sizes.rows) as cache:
        run = repeat_calibrate(command_line, cache, *sizes.run_options)
        rate = measure_grid_rate(command_line, cache, sizes)
    parts = run.output["seconds"]
    return {
        "calibrate_seconds": run.seconds,
        "calibrate_rss_mb": run.rss_mb,
        "startup_seconds": parts["import"] + parts["compile"],
        "startup_import_seconds": parts["import"],
        "startup_compile_seconds": parts["compile"],
        "grid_points_per_minute": rate,
    }


def measure_small(command_line: CommandLine, sizes: Sizes) -> dict[str, float]:
    """Return the time of `calibrate` with three seeds, and the rate of `grid`, with few rows.

    The keys are `small_calibrate_seconds` and `small_grid_points_per_minute`.
    """
    with command_line.temporary_cache("small", sizes, sizes.small_rows) as cache:
        run = repeat_calibrate(command_line, cache, "--seeds", "3", *sizes.run_options)
        rate = measure_grid_rate(command_line, cache, sizes)
    return {"small_calibrate_seconds": run.seconds, "small_grid_points_per_minute": rate}


def measure_celeba(command_line: CommandLine, sizes: Sizes) -> dict[str, float]:
    """Return the size of a cache with the rows of CelebA, and the peak memory of a short run.

    The keys are `celeba_cache_mb` and `celeba_rss_mb`. The run takes 40 steps in each stage.
    """
    with command_line.temporary_cache("celeba", sizes, sizes.celeba_rows) as cache:
        run = command_line.calibrate(cache, *FEW_STEPS)
        return {"celeba_cache_mb": cache.stat().st_size / MEGA, "celeba_rss_mb": run.rss_mb}


def repeat_calibrate(command_line: CommandLine, cache: Path, *options: str) -> Run:
    """Run `calibrate` twice; return the second run, which reads the compiled programs."""
    command_line.calibrate(cache, *options)
    return command_line.calibrate(cache, *options)


def measure_grid_rate(command_line: CommandLine, cache: Path, sizes: Sizes) -> float:
    """Return the points per minute of the command `grid` over `GRID_RATES`, from start to exit."""
    values = f"lr={','.join(map(str, GRID_RATES))}"
    folder = command_line.folder / "grid"
    options = ("--set", values, "--out", folder, "--overwrite", *sizes.run_options)
    run = command_line.run("grid", "--cache", cache, *options)
    return 60 * len(GRID_RATES) / run.seconds
