"""The command demo."""

import shlex
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import click

from clip_cfr.cache.console import COMMAND_LINE, PATH, Command, echo, program_name

MODEL = Path(__file__).parents[2] / "extract" / "tiny_clip"
# Seconds that a command has to end by itself after Ctrl-C.
INTERRUPT_S = 5
NEEDED = ("torch", "transformers", "PIL")
METHODS = ("zeroshot", "erm", "cfr", "dfr")


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
    look = f"{program_name()} info {shlex.quote(str(cache))}"
    echo(f"cache: {cache}, run: {run}; look at them with: {look}")


def check_packages() -> None:
    """Raise ModuleNotFoundError for the first package of `NEEDED` that is not installed.

    Nothing is imported.
    """
    for name in NEEDED:
        try:
            found = find_spec(name) is not None
        except ValueError:
            found = False
        if not found:
            raise ModuleNotFoundError(name, name=name)


def run_command(*words) -> None:
    """Print and run a command of this program, with the last word as `--out` and `--overwrite`.

    The command runs in a process of its own: torch and JAX would each take all cores and memory.
    If an exception such as KeyboardInterrupt arrives, the process is ended.

    Args:
        words: name and arguments of the command, then its output; converted to text.

    Raises:
        SystemExit: the command failed; has its exit code.
    """
    *words, out = map(str, words)
    words += ["--out", out, "--overwrite"]
    echo(f"$ {program_name()} {shlex.join(words)}")
    with exit_on_termination(), subprocess.Popen([*COMMAND_LINE, *words]) as process:
        try:
            code = process.wait()
        except BaseException as error:
            # Ctrl-C in a terminal reaches the command as well, which ends by itself.
            end_process(process, INTERRUPT_S if isinstance(error, KeyboardInterrupt) else 0)
            raise
    if code:
        raise SystemExit(code)


@contextmanager
def exit_on_termination() -> Iterator[None]:
    """Raise SystemExit with code 143 in the block if this process receives SIGTERM.

    The handler from before is restored after the block.
    """

    def exit_on_signal(number, frame):
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, exit_on_signal)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def end_process(process: subprocess.Popen, seconds: float) -> None:
    """Wait some seconds for a process to end, then send it SIGTERM without waiting again."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.terminate()
