"""Open the Optuna studies that store a grid, and refuse those with other results."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import optuna
from optuna import Study
from optuna.storages import RDBStorage
from optuna.study import StudyDirection

from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.grid.grid_plan import GridPlan
from clip_cfr.calibrate.grid.plan import Plan
from clip_cfr.calibrate.grid.pruning import make_pruner
from clip_cfr.calibrate.grid.storage import display_url, open_storage, report_damage
from clip_cfr.calibrate.grid.trials import Search

# Values of newer settings with which the program computes as it did before it had them.
EARLIER_VALUES = {"patience": 0, "precision": "float32"}
# Newer settings with which no value computes as before: of a study without them, they are missing.
WITHOUT_EARLIER_VALUE = ("identification_lr", "identification_steps")
# User attribute of a study.
IDENTITY = "clip-cfr"
# Name of the study in the database of a grid folder.
DEFAULT_NAME = "grid"


@dataclass(frozen=True)
class GridSearches:
    """The searches of a grid.

    Attributes:
        methods: one for each method whose points are ranked.
        references: one for each reference.
    """

    methods: tuple[Search, ...]
    references: tuple[Search, ...] = ()

    @property
    def all(self) -> tuple[Search, ...]:
        """All searches, references first: they are quick, and points may share their stages."""
        return (*self.references, *self.methods)


@contextmanager
def open_searches(url: str, name: str, plan: GridPlan) -> Iterator[GridSearches]:
    """Yield the studies of a grid as searches; create those that are missing.

    The connection to the storage is closed after the block.

    Args:
        url: the storage.
        name: the study of a grid of one method, and the first part of the other names.
        plan: the plans of the grid.

    Raises:
        CalibrationError: the storage cannot be used, fails in the block, or holds damaged values;
            or a study has other results.
    """
    with open_storage(url) as storage:
        with report_damage():
            searches = prepare_searches(storage, url, name, plan)
        yield searches


def prepare_searches(storage: RDBStorage, url: str, name: str, plan: GridPlan) -> GridSearches:
    """Return the searches of a grid in an open storage; create the studies that are missing.

    Raises:
        CalibrationError: a study has other results; no study was created.
    """
    existing = optuna.get_all_study_names(storage)
    method_names = study_names(storage, existing, name, plan)
    reference_names = [f"{name}-reference-{each.method}" for each in plan.references]
    named_plans = [
        *zip(method_names.values(), plan.methods, strict=True),
        *zip(reference_names, plan.references, strict=True),
    ]
    # Check before any study is created, so that a refused grid leaves no study behind.
    for study_name, each in named_plans:
        if study_name in existing:
            study = optuna.load_study(study_name=study_name, storage=storage)
            check_identity(study, each, url)
    searches = [open_search(storage, url, *each) for each in named_plans]
    count = len(plan.methods)
    return GridSearches(tuple(searches[:count]), tuple(searches[count:]))


def study_names(
    storage: RDBStorage, existing: Collection[str], name: str, plan: GridPlan
) -> dict[str, str]:
    """Return the name of each method's study, by method.

    The study of a grid of one method is called `name`, of several methods `name-METHOD`. A study
    that exists keeps its name when methods are added to its grid or left out.

    Args:
        storage: the database.
        existing: names of the studies in it.
        name: the name of the grid.
        plan: the plans of the methods.
    """
    alone = len(plan.methods) == 1
    first_method = method_of_study(storage, name) if name in existing else None
    return {
        method: name
        if first_method == method or (alone and f"{name}-{method}" not in existing)
        else f"{name}-{method}"
        for method in (each.method for each in plan.methods)
    }


def method_of_study(storage: RDBStorage, name: str) -> str | None:
    """Return the method whose points a study stores; None if this program did not create it.

    Raises:
        KeyError: there is no study of this name.
    """
    study = optuna.load_study(study_name=name, storage=storage)
    return study.user_attrs.get(IDENTITY, {}).get("method")


def open_search(storage: RDBStorage, url: str, name: str, plan: Plan) -> Search:
    """Return the search of a plan in a storage; create its study if it is missing.

    Raises:
        CalibrationError: the study has other results, see `check_identity`.
    """
    study = optuna.create_study(
        study_name=name,
        storage=storage,
        direction=StudyDirection.MAXIMIZE,
        pruner=make_pruner(plan.prune),
        load_if_exists=True,
    )
    check_identity(study, plan, url)
    return Search(plan, study)


def check_identity(study: Study, plan: Plan, url: str) -> None:
    """Check that a study has the identity of a plan; an empty study without one gets it.

    Args:
        study: the study.
        plan: the plan.
        url: the storage, for the message.

    Raises:
        CalibrationError: the identity differs, or the study has trials but no identity; names each
            difference with both values.
    """
    found = study.user_attrs.get(IDENTITY)
    if found is None and not study.get_trials(deepcopy=False):
        study.set_user_attr(IDENTITY, found := plan.identity)
    if found is None:
        differences = ["this program did not create it"]
    else:
        differences = identity_differences(found, plan.identity)
    if differences:
        in_folder = study.study_name.partition("-")[0] == DEFAULT_NAME
        restart = ", or start again with --overwrite" if in_folder else ""
        raise CalibrationError(
            f"{display_url(url)}: the study {study.study_name} belongs to another grid: "
            f"{'; '.join(differences)}; {describe_resume(found, differences)}name another folder "
            f"with --out{restart}"
        )


def describe_resume(found: Mapping[str, Any] | None, differences: Sequence[str]) -> str:
    """Return how to resume a grid that differs in its selection alone; its default has changed."""
    if [each.partition(" is ")[0] for each in differences] != ["selection"]:
        return ""
    return f"give --selection {found['settings']['selection']} to resume it, "


def identity_differences(found: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """Return a phrase such as `lr is 0.001, here 0.01` for each difference between two identities.

    Args:
        found: the stored identity.
        expected: the identity of this grid, the value after `here`; `missing` stands for no value.
    """
    theirs, ours = flatten_identity(found), flatten_identity(expected)
    return [
        f"{key} is {theirs.get(key, 'missing')}, here {ours.get(key, 'missing')}"
        for key in dict.fromkeys((*ours, *theirs))
        if theirs.get(key) != ours.get(key)
    ]


def flatten_identity(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return an identity as one dict: settings, varied ones included, beside the other keys.

    The value of a setting that a full grid varies is "varied". A setting that did not exist
    when the identity was stored has the value that acted like the program of that time, if any.
    """
    axes = identity["space"]
    if identity["sampler"] == "grid":
        axes = dict.fromkeys(axes, "varied")
    stored = {**identity["settings"], **axes}
    rest = {key: each for key, each in identity.items() if key not in ("space", "settings")}
    values = {**rest, **asdict(Settings()), **EARLIER_VALUES, **stored}
    missing = set(WITHOUT_EARLIER_VALUE) - stored.keys()
    return {key: value for key, value in values.items() if key not in missing}
