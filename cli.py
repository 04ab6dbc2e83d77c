"""The command line: parses, imports inside the command, calls, and shows."""

import errno
import sys

import click

CONTEXT = {"help_option_names": ["-h", "--help"], "show_default": True, "max_content_width": 100}
DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Commands(click.Group):
    """Turns the errors that a user can meet into one line and exit code 1."""

    def invoke(self, ctx: click.Context):
        from cache.errors import CacheError
        from calibrate.errors import CalibrationError
        from extract.errors import ExtractError

        try:
            return super().invoke(ctx)
        except (CacheError, ExtractError, CalibrationError) as error:
            raise click.ClickException(str(error)) from error
        except ModuleNotFoundError as error:
            raise click.ClickException(missing_extra(error)) from error


def missing_extra(error: ModuleNotFoundError) -> str:
    """The line that names the install command for a missing optional package."""
    return f"the package {error.name} is missing; install it with: pip install 'clip-cfr[extract]'"


@click.group(cls=Commands, context_settings=CONTEXT)
@click.version_option(package_name="clip-cfr")
def main():
    """Make CLIP robust to groups that nobody labelled.

    \b
    Example:
      python cli.py demo
      python cli.py extract --dataset celeba --root data/celeba
      python cli.py calibrate --cache celeba.h5
    """


if __name__ == "__main__":
    sys.exit(main())
