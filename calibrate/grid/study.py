"""Opens the study that a grid is kept in, and refuses one that was made of something else."""

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna import Study
from optuna.exceptions import OptunaError, StorageInternalError
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from clip_cfr.calibrate.core.errors import CalibrationError, SettingsError
from clip_cfr.calibrate.grid.plan import Plan
from clip_cfr.calibrate.grid.pruning import make_pruner

IDENTITY = "clip-cfr"
OWN_STUDY = "grid"
SECONDS_FOR_A_LOCK = 60
ATTEMPTS = 5
UNREADABLE = "{}: no database that Optuna can work with: {}; name another with --out or --storage"
FAILED = "{}: the database failed: {}; what is finished is kept, and the same command goes on"


def url_of_file(path: Path) -> str:
    """The storage URL of an SQLite file, whatever characters its name has."""
    return URL.create("sqlite", database=str(path)).render_as_string()


def shown(url: str) -> str:
    """A storage URL without its password, and the bare name where it is a file."""
    parts = make_url(url)
    if parts.drivername == "sqlite" and parts.database:
        return parts.database
    return parts.render_as_string(hide_password=True)


def check_url(url: str) -> None:
    """Refuses what is no storage URL.

    Raises:
        SettingsError: it is none.
    """
    try:
        make_url(url).get_dialect()
    except (ArgumentError, SQLAlchemyError, ValueError) as error:
        raise SettingsError(
            f"--storage {url}: expected a database URL that Optuna takes, such as "
            "sqlite:///study.db, mysql+pymysql://USER@HOST/NAME or postgresql://USER@HOST/NAME"
        ) from error


@contextmanager
def opened_study(url: str, name: str, plan: Plan) -> Iterator[Study]:
    """A block with the study of a plan, made where there is none.

    Raises:
        CalibrationError: the storage cannot be used, or its study is of another plan.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    storage = connected(url)
    try:
        study = optuna.create_study(
            study_name=name,
            storage=storage,
            direction=StudyDirection.MAXIMIZE,
            pruner=make_pruner(plan.prune),
            load_if_exists=True,
        )
        check_identity(study, plan, url)
        yield study
    except (OptunaError, SQLAlchemyError) as error:
        raise CalibrationError(FAILED.format(shown(url), first_line(error))) from error
    finally:
        storage.remove_session()
        storage.engine.dispose()


def connected(url: str) -> RDBStorage:
    """The storage, with its tables made.

    Raises:
        CalibrationError: there is no such database, or it is something else.
    """
    sqlite = make_url(url).drivername.startswith("sqlite")
    options = {"connect_args": {"timeout": SECONDS_FOR_A_LOCK}} if sqlite else {}
    for left in reversed(range(ATTEMPTS)):
        try:
            return RDBStorage(url, engine_kwargs=options)
        except ImportError as error:
            raise CalibrationError(
                f"{shown(url)}: the package for this database is missing: {error.__cause__}"
            ) from error
        except (SQLAlchemyError, OptunaError, RuntimeError) as error:
            # Of several processes that make the tables at once, all but one fail the first time.
            if not left:
                raise CalibrationError(UNREADABLE.format(shown(url), first_line(error))) from error
            time.sleep(0.2)
    raise AssertionError("every attempt returns or raises")


def first_line(error: Exception) -> str:
    """What the database said first; Optuna wraps it in a sentence that fits every case."""
    found = error.__cause__ if isinstance(error, StorageInternalError) else error
    return (str(found).strip() or type(found).__name__).splitlines()[0]


def check_identity(study: Study, plan: Plan, url: str) -> None:
    """Refuses a study of other results than the plan's; a new one becomes the plan's.

    Raises:
        CalibrationError: says in what the study differs.
    """
    found = study.user_attrs.get(IDENTITY)
    if found is None and not study.get_trials(deepcopy=False):
        study.set_user_attr(IDENTITY, found := plan.identity)
    differences = ["it is none of this program's"] if found is None else differing(found, plan)
    if differences:
        anew = ", or start anew with --overwrite" if study.study_name == OWN_STUDY else ""
        raise CalibrationError(
            f"{shown(url)}: the study {study.study_name} is another one: {'; '.join(differences)}; "
            f"name another folder with --out{anew}"
        )


def differing(found: dict[str, Any], plan: Plan) -> list[str]:
    """What a study's identity has other than the plan's, each with both values."""
    theirs, ours = (flat(each) for each in (found, plan.identity))
    return [
        f"{key} is {theirs.get(key, 'not there')}, here {ours.get(key, 'not there')}"
        for key in dict.fromkeys((*ours, *theirs))
        if theirs.get(key) != ours.get(key)
    ]


def flat(identity: dict[str, Any]) -> dict[str, Any]:
    """An identity with the settings that vary and those that do not on one level."""
    top = {key: each for key, each in identity.items() if key not in ("space", "settings")}
    return {**top, **identity.get("settings", {}), **identity.get("space", {})}
