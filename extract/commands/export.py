"""The command export."""

import click

from clip_cfr.cache.console import PATH, Command, emit, json_option
from clip_cfr.cache.interrupts import exit_on_interrupt
from clip_cfr.extract.export import FORMATS

FORMAT = (
    "transformers or open-clip: a CLIP whose projection of images is the head; safetensors: the "
    "head alone; onnx: image tower and head (extra `onnx`). By default a CLIP, for the library of "
    "the model."
)
METHOD = "Method whose head is exported; by default that of the recommended head."
SEED = "Seed of the head; by default that of the recommended head, or the first."
CACHE = "Where the cache of the run is now, if it moved."
MODEL = "Where the model is now, if it moved; its weights must be the same."


@click.command(cls=Command)
@click.option("--run", "directory", type=PATH, required=True, help="Run folder of calibrate.")
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

    The model card in the folder says how to use it, and what calibration does to other prompts.

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
