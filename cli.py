"""The command line: finds commands, loads each when it is needed, turns errors into exit codes."""

import errno
import gc
import importlib.util
import signal
import sys
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parent

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Ctrl-C during the imports below ends the process without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

try:
    import click
except ModuleNotFoundError:
    sys.exit(
        f"Error: the package click is missing from {sys.executable}; run the Python that has it "
        f"(.venv/bin/python after `make setup`), or install it with: {sys.executable} -m pip "
        f"install {ROOT}"
    )

if not __package__:
    # Run as a file: use the packages of this checkout, installed or not.
    _spec = importlib.util.spec_from_file_location("clip_cfr", ROOT / "__init__.py")
    sys.modules["clip_cfr"] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules["clip_cfr"])

from clip_cfr.cache.console import (  # noqa: E402
    CONTEXT,
    escape_controls,
    insert_program_name,
    print_log,
)
from clip_cfr.cache.files.descriptors import increase_file_limit  # noqa: E402
from clip_cfr.cache.interrupts import exit_on_interrupt, run_program  # noqa: E402
from clip_cfr.cache.packages import missing_package  # noqa: E402
from clip_cfr.cache.terminal import flush_or_discard_output, make_streams_safe  # noqa: E402

# New objects before Python looks for garbage. Imports and traces of JAX make many objects that
# stay: to look through them as often as by default takes 0.15 s of a calibration's start.
OBJECTS_PER_COLLECTION = 20_000

COMMANDS = {
    "demo": "clip_cfr.calibrate.commands.demo:demo",
    "extract": "clip_cfr.extract.commands.extract:extract",
    "import": "clip_cfr.extract.commands.import_embeddings:import_",
    "words": "clip_cfr.extract.commands.words:words",
    "info": "clip_cfr.cache.commands:info",
    "verify": "clip_cfr.cache.commands:verify",
    "merge": "clip_cfr.cache.commands:merge",
    "calibrate": "clip_cfr.calibrate.commands.calibrate:calibrate",
    "show": "clip_cfr.calibrate.commands.show:show",
    "report": "clip_cfr.calibrate.commands.report:report",
    "explain": "clip_cfr.calibrate.commands.explain:explain",
    "export": "clip_cfr.extract.commands.export:export",
    "grid": "clip_cfr.calibrate.commands.grid:grid",
    "study": "clip_cfr.calibrate.commands.study:study",
    "predict": "clip_cfr.extract.commands.predict:predict",
}
BENCHMARKS = {
    "train": "clip_cfr.calibrate.commands.bench:train",
    "extract": "clip_cfr.extract.bench.command:extract",
}
TOO_MANY_FILES = "too many open files: raise their limit, for example with `ulimit -n 1024`"
SMALLER = "take fewer steps, smaller batches or pools, or fewer rows"


class LazyGroup(click.Group):
    """A click group whose commands are imported when one is run, or when the help lists them.

    Args:
        lazy: `MODULE:ATTRIBUTE` of each command by name, in the order of the help. All other
            arguments are those of `click.Group`.
    """

    def __init__(self, *args, lazy: dict[str, str], **kwargs):
        super().__init__(*args, context_settings=CONTEXT, **kwargs)
        self.lazy = lazy

    def __call__(self, *args, **kwargs):
        """Run as the program of this process: `main` within `run_program`, which handles Ctrl-C."""
        run_program(lambda: self.main(*args, **kwargs))

    def main(self, *args, **kwargs):
        """Run as `click.Group.main` does, after `make_streams_safe` and `increase_file_limit`."""
        make_streams_safe()
        increase_file_limit()
        return super().main(*args, **kwargs)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the lazy commands, then of the others."""
        return [*self.lazy, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import and return a command; None if no command has this name.

        Raises:
            ModuleNotFoundError: a package that the command needs is not installed.
        """
        if name not in self.lazy:
            return super().get_command(ctx, name)
        module, _, attribute = self.lazy[name].partition(":")
        return getattr(import_module(module), attribute)

    def get_help(self, ctx: click.Context) -> str:
        """Return the help text, with examples that can be pasted."""
        return insert_program_name(ctx, super().get_help(ctx))

    def invoke(self, ctx: click.Context):
        """Run a command; convert errors that a user can cause to click exceptions of one line.

        Raises:
            click.UsageError: for an OptionError, OutputError or SettingsError; exit code 2.
            click.ClickException: for any other error of the packages, a missing package, too little
                memory, or an OSError; exit code 1.
            SystemExit: after Ctrl-C, with exit code 130.
        """
        from clip_cfr.cache.errors import CacheError, OutputError
        from clip_cfr.calibrate.core.errors import CalibrationError, SettingsError
        from clip_cfr.extract.errors import ExtractError, OptionError

        try:
            with print_log(), exit_on_interrupt("interrupted"):
                return super().invoke(ctx)
        except (OptionError, OutputError, SettingsError) as error:
            message, context = escape_controls(str(error)), self.context_of_command(ctx)
            raise click.UsageError(message, context) from error
        except (CacheError, ExtractError, CalibrationError) as error:
            raise click.ClickException(escape_controls(str(error))) from error
        except ModuleNotFoundError as error:
            raise click.ClickException(missing_package(error)) from error
        except MemoryError as error:
            raise click.ClickException(f"out of memory: {error}; {SMALLER}") from error
        except OSError as error:
            if error.errno == errno.EPIPE:  # Not an error: click ends quietly.
                raise
            flush_or_discard_output()
            if error.errno in (errno.EMFILE, errno.ENFILE):
                raise click.ClickException(TOO_MANY_FILES) from error
            message = escape_controls(f"{error.filename or 'output'}: {error.strerror}")
            raise click.ClickException(message) from error

    def context_of_command(self, ctx: click.Context) -> click.Context:
        """Return a new context of the subcommand that `ctx` calls, for its usage line."""
        command = self.get_command(ctx, ctx.invoked_subcommand)
        return click.Context(command, parent=ctx, info_name=ctx.invoked_subcommand)


@click.group(cls=LazyGroup, lazy=COMMANDS)
@click.version_option(package_name="clip-cfr")
def main():
    """Make CLIP robust to groups that nobody labelled.

    \b
    Example:
      clip-cfr demo
      clip-cfr extract --dataset celeba --root data/celeba
      clip-cfr calibrate --cache celeba.h5
    """
    gc.set_threshold(OBJECTS_PER_COLLECTION)


@main.group(cls=LazyGroup, lazy=BENCHMARKS)
def bench():
    """Measure how fast this machine is.

    \b
    Example:
      clip-cfr bench train
      clip-cfr bench extract
    """


if __name__ == "__main__":
    main(prog_name="python cli.py")
