"""The command demo."""

import shlex
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from clip_cfr.cache.console import COMMAND_LINE, PATH, Command, echo, program_name
from clip_cfr.cache.packages import is_installed

MODEL = Path(__file__).parents[2] / "extract" / "tiny_clip"
# Seconds that a command has to end by itself after Ctrl-C.
INTERRUPT_S = 5
NEEDED = ("torch", "transformers", "PIL")
REPORT_NEEDS = ("plotly", "matplotlib")
METHODS = ("zeroshot", "erm", "cfr", "dfr")


@click.command(cls=Command)
@click.option("--out", type=PATH, default=Path("runs/demo"), help="Folder for all files.")
def demo(out):
    """Run the whole pipeline offline, from images to a report, with the included tiny CLIP.

    It runs extract, calibrate, explain and report, and prints each command before its output.

    \b
    Example:
      clip-cfr demo
    """
    check_packages()
    cache, run = out / "digits.h5", out / "run"
    out.mkdir(parents=True, exist_ok=True)
    run_command(
        "extract", "--dataset", "digits", "--root", out / "images", "--model", MODEL, out=cache
    )
    methods = [word for name in METHODS for word in ("--method", name)]
    run_command("calibrate", "--cache", cache, "--seeds", 3, *methods, out=run)
    run_command("explain", "--run", run, "--split", "train", "--top", 3)
    write_report(out, run)
    look = f"{program_name()} info {shlex.quote(str(cache))}"
    echo(f"cache: {cache}, run: {run}; look at them with: {look}")


def write_report(out: Path, run: Path) -> None:
    """Write the report of a run as the last step; without its packages, print how to install them.

    Args:
        out: the folder of the demo, for the page and the images.
        run: the run folder.
    """
    if not all(map(is_installed, REPORT_NEEDS)):
        echo("a page with plots of this run needs: pip install 'clip-cfr[report]'")
        return
    pictures = ("--root", out / "images", "--thumbnails", 200, "--rows", 600)
    run_command("report", run, *pictures, out=out / "report.html")


def check_packages() -> None:
    """Raise ModuleNotFoundError for the first package of `NEEDED` that is not installed.

    Nothing is imported.
    """
    for name in NEEDED:
        if not is_installed(name):
            raise ModuleNotFoundError(name, name=name)


def run_command(*words, out: Path | None = None) -> None:
    """Print and run a command of this program, with `--out` and `--overwrite` if it has an output.

    The command runs in a process of its own: torch and JAX would each take all cores and memory.
    If an exception such as KeyboardInterrupt arrives, the process is ended.

    Args:
        words: name and arguments of the command; converted to text.
        out: what it writes; None if it only prints.

    Raises:
        SystemExit: the command failed; has its exit code.
    """
    words = [*map(str, words), *([] if out is None else ["--out", str(out), "--overwrite"])]
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
