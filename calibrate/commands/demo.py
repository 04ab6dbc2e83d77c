"""The command demo."""

import shlex
import subprocess
from importlib.util import find_spec
from pathlib import Path

import click

from clip_cfr.cache.console import COMMAND_LINE, PATH, Command, echo, program_name
from clip_cfr.calibrate.methods import METHODS

MODEL = Path(__file__).parents[2] / "extract" / "tiny_clip"
NEEDED = ("torch", "transformers", "PIL")


@click.command(cls=Command)
@click.option("--out", type=PATH, default=Path("runs/demo"), help="The folder for all files.")
def demo(out):
    """Run the whole pipeline offline, from image files to the table, with the embedded tiny CLIP.

    \b
    Example:
      clip-cfr demo
    """
    check_packages()
    cache, run = out / "digits.h5", out / "run"
    out.mkdir(parents=True, exist_ok=True)
    run_command("extract", "--dataset", "digits", "--root", out / "images", "--model", MODEL, cache)
    methods = [word for name in METHODS for word in ("--method", name)]
    run_command("calibrate", "--cache", cache, "--seeds", 3, *methods, run)
    echo(f"cache: {cache}, run: {run}; look at them with: {program_name()} info {cache}")


def check_packages() -> None:
    """Raise ModuleNotFoundError if a package that encodes images is missing."""
    for name in NEEDED:
        try:
            found = find_spec(name) is not None
        except ValueError:
            found = False
        if not found:
            raise ModuleNotFoundError(name, name=name)


def run_command(*words) -> None:
    """Print and run a command of this program, replacing its output, which is its last word.

    The command runs in a process of its own: torch and JAX would each take all cores and memory.
    """
    *words, out = map(str, words)
    words += ["--out", out, "--overwrite"]
    echo(f"$ {program_name()} {shlex.join(words)}")
    done = subprocess.run([*COMMAND_LINE, *words])
    if done.returncode:
        raise SystemExit(done.returncode)
