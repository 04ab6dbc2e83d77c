"""The command calibrate."""

from dataclasses import asdict
from pathlib import Path
from time import perf_counter

import click

from clip_cfr.cache.console import PATH, Command, emit, interruptible
from clip_cfr.calibrate.commands.options import make_settings, training_options
from clip_cfr.calibrate.methods import METHODS


@click.command(cls=Command)
@click.option(
    "--method",
    "methods",
    multiple=True,
    type=click.Choice(METHODS),
    default=("zeroshot", "erm", "cfr"),
    help="What to compare; may be given several times.",
)
@click.option("--out", type=PATH, help="The run's folder; by default runs/NAME-TIME.")
@click.option("--overwrite", is_flag=True, help="Replace a finished run.")
@training_options
@click.pass_context
def calibrate(
    ctx, path, methods, seeds, seed, out, overwrite, device, hold_rows, preset, as_json, **values
):
    """Train and compare heads on a cache, and recommend one.

    \b
    Example:
      clip-cfr calibrate --cache celeba.h5
      clip-cfr calibrate --cache celeba.h5 --method erm --method cfr --seeds 5 --lr 1e-4
    """
    started = perf_counter()
    settings = make_settings(ctx, preset, values)

    from clip_cfr.cache.runs.run import default_run_directory, refuse_finished_run
    from clip_cfr.calibrate.comparison.compare import compare
    from clip_cfr.calibrate.comparison.summary import summarise
    from clip_cfr.calibrate.comparison.table import render
    from clip_cfr.calibrate.pipeline import start_jax, task_in
    from clip_cfr.calibrate.runtime import jax_setup

    out = out or default_run_directory(path.stem)
    refuse_finished_run(out, overwrite)
    device = start_jax(device)
    imported = perf_counter()
    message = "interrupted; nothing was written"
    with interruptible(message), task_in(path, hold_rows) as (cache, task, held):
        seed_range = range(seed, seed + seeds)
        loaded = perf_counter()
        with jax_setup.compile_seconds() as compiling:
            outcomes, failures = compare(
                task, settings, dict.fromkeys(methods), seed_range, tell_progress, held
            )
        if not outcomes:
            refuse_failures(failures)
        trained = perf_counter()
        result = described(path, cache) | summarise(task, settings, outcomes, seed_range)
        result["failures"] = failures
        result["seconds"] = {
            "import": imported - started,
            "load": loaded - imported,
            "compile": compiling.seconds,
            "train": trained - loaded - compiling.seconds,
            "total": perf_counter() - started,
        }
        try:
            keep_run(out, path, cache, held, settings, outcomes, result, device, overwrite)
        finally:  # What took long to find out is shown even where the disk is full.
            for warning in result["warnings"]:
                click.echo(f"warning: {warning}", err=True)
            emit(result, as_json, render)
    click.echo(f"run written to {out}", err=True)
    refuse_failures(failures)


def refuse_failures(failures: dict[str, str]) -> None:
    """Raises where a method could not be fitted."""
    from clip_cfr.calibrate.core.errors import CalibrationError

    if failures:
        raise CalibrationError("; ".join(f"{name}: {why}" for name, why in failures.items()))


def described(path: Path, cache) -> dict:
    """Which cache a result is about, and the prompts that zero-shot numbers depend on."""
    texts = cache.texts
    prompts = zip(texts.class_names, texts.class_prompts, strict=False)
    return {
        "cache": str(path),
        "dataset": cache.dataset,
        "model": cache.provenance["model"],
        "prompts": [{"class": name, "prompts": list(each)} for name, each in prompts],
    }


def keep_run(out, path, cache, held, settings, outcomes, result, device, overwrite) -> None:
    """Writes the run folder."""
    from clip_cfr.cache.read.info import content_digest
    from clip_cfr.cache.runs.run import write_run
    from clip_cfr.calibrate.comparison import record

    write_run(
        out,
        config={
            "cache": str(path),
            "methods": list(outcomes),
            "settings": asdict(settings),
            "held_rows": held,
        },
        provenance={
            "cache_sha256": content_digest(path),
            "cache": cache.provenance,
            "device": device,
            "versions": record.versions(),
        },
        metrics=result,
        history=record.histories(outcomes),
        heads=record.heads(outcomes, settings.selection),
        overwrite=overwrite,
    )


def tell_progress(method: str, seed: int) -> None:
    """Says what runs now."""
    click.echo(f"seed {seed}: {method}", err=True)
