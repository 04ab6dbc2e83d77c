"""The database that stores the studies of a grid: its URL, its connection, its errors."""

import os
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
from optuna.exceptions import OptunaError, StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from clip_cfr.calibrate.core.errors import CalibrationError, SettingsError
from clip_cfr.calibrate.grid.mask_secrets import mask_secrets

IN_MEMORY = ":memory:"
LOCK_TIMEOUT_SECONDS = 60
CONNECT_ATTEMPTS = 5
UNREADABLE = "{}: not a database that Optuna can use: {}; name another with --out or --storage"
DAMAGED = (
    "{}: the database is damaged: a stored value cannot be decoded ({}); start again with "
    "--overwrite, or name another with --out or --storage"
)
FAILED = "{}: the database failed: {}; finished points are kept, run the same command to resume"


def url_of_file(path: Path) -> str:
    """Return the storage URL of an SQLite file, with special characters of its name escaped.

    For example, `grid/study.db` gives `sqlite:///grid/study.db`. The file need not exist.

    Raises:
        SettingsError: the name is not UTF-8.
    """
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError as error:
        raise SettingsError(
            f"--out {path.parent}: this path is not UTF-8, so the database of the grid cannot be "
            "opened there; give another --out, or change into the folder and give a relative one"
        ) from error
    return URL.create("sqlite", database=str(path)).render_as_string()


def display_url(url: str) -> str:
    """Return a storage URL for display, with `***` in place of passwords; for a file, its path."""
    parts = make_url(url)
    if parts.drivername == "sqlite" and parts.database:
        return parts.database
    return mask_secrets(parts.render_as_string(hide_password=True))


def parse_url(url: str) -> str:
    """Check a storage URL of the user, and return it.

    In the URL of an SQLite file, `~` at the start of the path is replaced by the home folder. No
    connection is opened.

    Raises:
        SettingsError: it is not a storage URL, or names a database in memory.
    """
    try:
        parts = make_url(url)
        parts.get_dialect()
    except (ArgumentError, SQLAlchemyError, ValueError) as error:
        raise SettingsError(
            f"--storage {mask_secrets(url)}: expected a database URL that Optuna accepts, such as "
            "sqlite:///study.db, mysql+pymysql://USER@HOST/NAME or postgresql://USER@HOST/NAME"
        ) from error
    if parts.get_backend_name() != "sqlite":
        return url
    path = parts.database or IN_MEMORY
    if IN_MEMORY in path or parts.query.get("mode") == "memory":
        raise SettingsError(
            f"--storage {url}: a database in memory ends with its process, so no other can share "
            "it and no run can resume it; name a file, such as sqlite:///study.db, or leave out "
            "--storage"
        )
    if not path.startswith("~"):
        return url
    return parts.set(database=os.path.expanduser(path)).render_as_string(hide_password=False)


class DamagedValueError(Exception):
    """A database holds a value that this program cannot have stored.

    `open_storage` converts it to a CalibrationError.
    """


@contextmanager
def report_damage() -> Iterator[None]:
    """Convert the errors that decoding a damaged value raises in the block to DamagedValueError.

    These are ValueError, LookupError, TypeError, AttributeError and ArithmeticError.
    """
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        raise DamagedValueError(f"{type(error).__name__}: {error}") from error


@contextmanager
def open_storage(url: str) -> Iterator[RDBStorage]:
    """Yield a connection to a storage, which is closed after the block.

    Missing tables are created. Messages of Optuna below errors are turned off for the process.

    Raises:
        CalibrationError: the storage cannot be used, or fails within the block.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    storage = connect(url)
    try:
        yield storage
    except DamagedValueError as error:
        raise CalibrationError(DAMAGED.format(display_url(url), first_line(error))) from error
    except (OptunaError, SQLAlchemyError) as error:
        raise CalibrationError(FAILED.format(display_url(url), first_line(error))) from error
    finally:
        storage.remove_session()
        storage.engine.dispose()


def connect(url: str) -> RDBStorage:
    """Return a connection to a storage, whose tables are created if they are missing.

    A failed attempt is repeated up to 4 times, after 0.2 s each.

    Raises:
        CalibrationError: there is no such database, its driver is missing, or the file is something
            else.
    """
    sqlite = make_url(url).drivername.startswith("sqlite")
    options = {"connect_args": {"timeout": LOCK_TIMEOUT_SECONDS}} if sqlite else {}
    for attempts_left in reversed(range(CONNECT_ATTEMPTS)):
        try:
            return RDBStorage(url, engine_kwargs=options)
        except ImportError as error:
            raise CalibrationError(
                f"{display_url(url)}: the package for this database is missing: {error.__cause__}"
            ) from error
        except (SQLAlchemyError, OptunaError, RuntimeError, UnicodeDecodeError) as error:
            # If several processes create the tables at once, all but one fail the first time.
            if not attempts_left:
                message = UNREADABLE.format(display_url(url), first_line(error))
                raise CalibrationError(message) from error
            time.sleep(0.2)
    raise AssertionError("every attempt returns or raises")


def first_line(error: Exception) -> str:
    """Return the first line of a database error, with `***` in place of passwords.

    Of an error that Optuna wraps, it is that of the cause; of one without text, the type's name.
    """
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    return mask_secrets((str(cause).strip() or type(cause).__name__).splitlines()[0])
