"""The command export."""

import click

from clip_cfr.cache.console import PATH, Command, emit, json_option
from clip_cfr.cache.interrupts import exit_on_interrupt
from clip_cfr.extract.export import FORMATS

FORMAT = (
    "Form of the export. transformers, open-clip: a whole CLIP, with the head as its projection of "
    "images, for this library. safetensors: the head alone. onnx: image tower and head; needs the "
    "extra onnx of the package. By default a CLIP for the library of the run's model."
)
METHOD = "Method whose head is exported, such as cfr; by default that of the recommended head."
SEED = "Seed whose head is exported; by default that of the recommended head, or the first."
CACHE = "Cache file of the run, if it is no longer where calibrate read it."
MODEL = "The run's model, if it is no longer where it was. Its weights must be the same."


@click.command(cls=Command)
@click.option(
    "--run", "directory", type=PATH, required=True, help="Run folder that calibrate wrote."
)
@click.option("--out", type=PATH, required=True, help="Folder to write.")
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    help=FORMAT,
)
@click.option("--method", metavar="NAME", help=METHOD)
@click.option("--seed", type=click.IntRange(min=0), help=SEED)
@click.option("--cache", type=PATH, help=CACHE)
@click.option("--model", help=MODEL)
@click.option("--overwrite", is_flag=True, help="Replace an older export.")
@json_option
def export(directory, out, form, method, seed, cache, model, overwrite, as_json):
    """Write the calibrated model of a run, for use with transformers, open_clip or ONNX Runtime.

    The folder has a model card, README.md: how to use the model, its accuracies, and its accuracies
    with other prompts than those of the run.

    \b
    Example:
      clip-cfr export --run runs/demo/run --out models/digits
      clip-cfr export --run runs/demo/run --method cfr --out models/digits-cfr
      clip-cfr export --run runs/demo/run --format safetensors --out models/digits-head
    """
    from clip_cfr.extract.export.export import export_model
    from clip_cfr.extract.export.table import render_export

    with exit_on_interrupt(f"{out}: interrupted; nothing was written"):
        result = export_model(
            directory,
            out,
            form=form,
            method=method,
            seed=seed,
            cache=cache,
            model=model,
            overwrite=overwrite,
        )
    emit(result.to_json(), as_json, lambda _: render_export(result))
