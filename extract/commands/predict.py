"""The command predict."""

from contextlib import closing, nullcontext
from pathlib import Path

import click
from click_option_group import optgroup

from clip_cfr.cache.console import PATH, Command, echo
from clip_cfr.cache.device_option import DeviceName
from clip_cfr.cache.interrupts import exit_on_interrupt
from clip_cfr.extract.errors import OptionError
from clip_cfr.extract.images.settings import DEFAULT_MAX_PIXELS
from clip_cfr.extract.option_types import AutoOrInteger

FORMATS = ("table", "csv", "jsonl")
FORMATS_OF_NAMES = {".csv": "csv", ".jsonl": "jsonl"}
METHOD = "Method whose head predicts, such as cfr; by default that of the recommended head."
SEED = "Seed whose head predicts; by default that of the recommended head, or the method's first."
SEEDS = "all: average the probabilities of the method's heads of all seeds."
MODEL = "The run's model, a folder, weights file or hub id, if it is no longer where it was."
FORMAT = (
    "Form of the predictions; jsonl is JSON Lines. By default a table. In a file csv, or jsonl if "
    "its name ends in .jsonl."
)
OUT = "File to write, as csv or jsonl. By default predictions are printed as they are computed."
ON_ERROR = (
    "Handling of an unreadable image. fail: stop with an error. skip: keep its row, with an empty "
    "class and the error."
)
DTYPE = "Number type of the computation. auto: that of the run, if the device has it."


@click.command(cls=Command)
@click.argument("inputs", nargs=-1, type=PATH, metavar="INPUT...", required=True)
@optgroup.group("Head")
@optgroup.option(
    "--run", type=PATH, metavar="DIR", required=True, help="Run folder that calibrate wrote."
)
@optgroup.option("--method", metavar="NAME", help=METHOD)
@optgroup.option("--seed", type=click.IntRange(min=0), help=SEED)
@optgroup.option("--seeds", type=click.Choice(["all"]), help=SEEDS)
@optgroup.group("Output")
@optgroup.option("--format", "form", type=click.Choice(FORMATS), help=FORMAT)
@optgroup.option("--out", type=PATH, help=OUT)
@optgroup.option("--overwrite", is_flag=True, help="Replace an older file of predictions.")
@optgroup.group("Model")
@optgroup.option("--model", help=MODEL)
@optgroup.option("--device", type=DeviceName("cuda"), default="auto", help="Where the model runs.")
@optgroup.option(
    "--dtype",
    type=click.Choice(["auto", "float32", "bfloat16", "float16"]),
    default="auto",
    help=DTYPE,
)
@optgroup.option(
    "--batch-size",
    type=AutoOrInteger(1),
    metavar="auto|N",
    default="auto",
    help="Number of images in a batch. auto: 32 on a CPU; on a GPU as many as its memory holds.",
)
@optgroup.option(
    "--workers",
    type=click.IntRange(min=0),
    metavar="N",
    show_default="by device and work",
    help="Decode images in N further processes; 0: in this one.",
)
@optgroup.group("Images")
@optgroup.option(
    "--max-pixels",
    type=click.IntRange(min=1),
    default=DEFAULT_MAX_PIXELS,
    help="Largest image to decode, in pixels.",
)
@optgroup.option("--on-error", type=click.Choice(["fail", "skip"]), default="fail", help=ON_ERROR)
def predict(inputs, run, form, out, overwrite, batch_size, **options):
    """Predict the classes of new images with a head of a run.

    INPUT is an image, a folder of images at any depth, a tar or zip archive, a list of paths
    (CSV, text), or a cache of features of the same model, which needs no model.

    Each image gets the most probable class, its probability, and the margin: its probability minus
    that of the second most probable class, near 0 where the head hesitates.

    \b
    Example:
      clip-cfr predict --run runs/demo/run photos
      clip-cfr predict --run runs/demo/run a.jpg b.png --method dfr --seeds all
      clip-cfr predict --run runs/demo/run photos.zip --out photos.csv --on-error skip
      clip-cfr predict --run runs/demo/run runs/demo/digits.h5 --format jsonl
    """
    from clip_cfr.extract.predict.formats import render
    from clip_cfr.extract.predict.output_file import reserve_file, write_lines
    from clip_cfr.extract.predict.predict import predict_images

    form = choose_format(form, out)
    options["batch_size"] = None if batch_size == "auto" else batch_size
    reserved = nullcontext() if out is None else reserve_file(out, overwrite, (run, *inputs))
    with exit_on_interrupt("interrupted"), reserved as target, make_reporter(out) as reporter:
        predictions = predict_images(run, inputs, reporter=reporter, **options)
        reporter.message(predictions.head)
        with closing(predictions.rows):
            lines = render(predictions, form, predictions.class_names)
            if target is not None:
                write_lines(target, lines)
            else:
                for line in lines:
                    echo(line)
    if out is not None:
        echo(f"{predictions.num_images:,} predictions written to {out}", err=True)


def choose_format(form: str | None, out: Path | None) -> str:
    """Return the format of the output.

    Raises:
        OptionError: a table is wanted in a file, or the name of the file is that of another format.
    """
    if out is None:
        return form or "table"
    if form == "table":
        raise OptionError("--format table is for a terminal; for --out choose csv or jsonl")
    named = FORMATS_OF_NAMES.get(out.suffix.lower())
    if form is not None and named not in (None, form):
        raise OptionError(
            f"--format {form} and --out {out} do not go together: the name is that of {named}; "
            "leave out --format, or name another file"
        )
    return form or named or "csv"


def make_reporter(out: Path | None):
    """Return a context manager with a reporter: with a progress bar only if a file is written."""
    from clip_cfr.extract.progress import LineReporter, show_progress

    return nullcontext(LineReporter()) if out is None else show_progress()
