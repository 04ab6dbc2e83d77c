"""The command demo."""

import shlex
import subprocess
from pathlib import Path

import click

from clip_cfr.cache.console import COMMAND_LINE, PATH, Command
from clip_cfr.calibrate.methods import METHODS


@click.command(cls=Command)
@click.option("--out", type=PATH, default=Path("runs/demo"), help="Where all files go.")
def demo(out):
    """Digits from image files to the table, offline, on the CLIP that this project carries.

    \b
    Example:
      clip-cfr demo
    """
    cache, model = out / "digits.h5", Path(__file__).parents[2] / "extract" / "tiny_clip"
    out.mkdir(parents=True, exist_ok=True)
    methods = [word for name in METHODS for word in ("--method", name)]
    steps = (
        ["extract", "--dataset", "digits", "--root", out / "images", "--model", model],
        ["calibrate", "--cache", cache, "--seeds", 3, *methods],
    )
    places = (cache, out / "run")
    for step, place in zip(steps, places, strict=True):
        words = [*map(str, step), "--out", str(place), "--overwrite"]
        click.echo(f"$ clip-cfr {shlex.join(words)}")
        # Processes of their own: torch and JAX would each take all cores and memory.
        done = subprocess.run([*COMMAND_LINE, *words])
        if done.returncode:
            raise SystemExit(done.returncode)
