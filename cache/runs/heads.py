"""The head of a method and a seed in a run folder."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clip_cfr.cache.errors import FieldError, error_context
from clip_cfr.cache.runs.run import HEADS, Run, head_file, read_run

HEAD_NAME = re.compile(r"(.+)-seed(\d+)", re.ASCII)
# The first arrays of the formulas in RUNS.md; a head has all of one set, and maybe optional ones.
REQUIRED_ARRAYS = (
    ("projection", "logit_scale", "class_embeddings"),
    ("linear_weight", "linear_bias"),
    ("logits_weight", "logits_bias"),
)
NAME_ONE = "name one that it has, or calibrate again with --method"


@dataclass(frozen=True)
class SavedHead:
    """A head of a run folder.

    Attributes:
        method: the method, such as `cfr`.
        seed: the seed of its training.
        arrays: its arrays, which `apply_head` applies to features.
        formula: the formula that applies them, as in RUNS.md.
    """

    method: str
    seed: int
    arrays: Mapping[str, np.ndarray]
    formula: str | None

    @property
    def dim(self) -> int:
        """Width of the features that it takes."""
        names = ("projection", "linear_weight", "logits_weight")
        return next(self.arrays[name].shape[0] for name in names if name in self.arrays)


def read_head(
    directory: str | Path, method: str | None = None, seed: int | None = None
) -> SavedHead:
    """Return a head in a run folder, after checking the SHA-256 of each of its files.

    Args:
        directory: the run folder.
        method: None takes the method of the recommended head.
        seed: None takes the seed of the recommended head if that is of the method, otherwise the
            method's first seed.

    Raises:
        CacheError: the folder is missing, damaged or no run; the run recommends no head and
            `method` is None; or it has no head of the method and seed.
    """
    directory = Path(directory)
    run = read_run(directory)
    with error_context(directory, NAME_ONE):
        return choose_head(run, method, seed)


def choose_head(run: Run, method: str | None = None, seed: int | None = None) -> SavedHead:
    """Return a head of a run; see `read_head`.

    Raises:
        FieldError: as for `read_head`.
    """
    heads = heads_by_method(run)
    recommended = parse_head_name(run.recommended) if run.recommended else None
    method = choose_method(run, heads, method)
    of_method = heads[method]
    if seed is None and recommended is not None and recommended[0] == method:
        seed = recommended[1]
    seed = next(iter(of_method)) if seed is None else seed
    if seed not in of_method:
        raise FieldError(f"seed of {method}", f"one of {', '.join(map(str, of_method))}", seed)
    return of_method[seed]


def all_seeds(run: Run, method: str | None = None) -> list[SavedHead]:
    """Return the heads of a method, one for each seed, in ascending order of the seeds.

    Raises:
        FieldError: as for `read_head`.
    """
    heads = heads_by_method(run)
    return list(heads[choose_method(run, heads, method)].values())


def choose_method(run: Run, heads: Mapping[str, Mapping[int, SavedHead]], name: str | None) -> str:
    """Return a method that has heads: the named one, or that of the recommended head for None.

    Raises:
        FieldError: there is no head at all, none is recommended, or the method has none.
    """
    expected = f"one with a stored head: {', '.join(heads)}"
    if not heads:
        raise FieldError(HEADS, "at least one head", "none")
    if name is None and run.recommended is None:
        raise FieldError("method", expected, "none, and the run recommends none")
    method = parse_head_name(run.recommended)[0] if name is None else name
    if method not in heads:
        stored = ", which stored no head" if method in run.config.get("methods", ()) else ""
        raise FieldError("method", expected, f"{method}{stored}")
    return method


def heads_by_method(run: Run) -> dict[str, dict[int, SavedHead]]:
    """Return the heads of a run by method, in the run's order, and by seed, ascending.

    Raises:
        FieldError: a head has a name of another form, or not the arrays of a known formula.
    """
    found: dict[str, dict[int, SavedHead]] = {}
    for name, arrays in run.heads.items():
        method, seed = parse_head_name(name)
        check_arrays(name, arrays)
        found.setdefault(method, {})[seed] = SavedHead(method, seed, arrays, run.formulas.get(name))
    return {method: dict(sorted(of_method.items())) for method, of_method in found.items()}


def parse_head_name(name: str) -> tuple[str, int]:
    """Return method and seed of `METHOD-seedN`; raise FieldError for a name of another form."""
    match = HEAD_NAME.fullmatch(name)
    if match is None:
        raise FieldError(HEADS, "heads called METHOD-seedN", name)
    return match[1], int(match[2])


def check_arrays(name: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Raise FieldError unless a head has all arrays of one formula in RUNS.md.

    Args:
        name: `METHOD-seedN`, for the message.
        arrays: its arrays.
    """
    if not any(set(each) <= arrays.keys() for each in REQUIRED_ARRAYS):
        expected = " or ".join(" and ".join(each) for each in REQUIRED_ARRAYS)
        raise FieldError(head_file(name), expected, ", ".join(arrays) or "no arrays")


def class_names(run: Run) -> tuple[str, ...]:
    """Return the names of the classes of a run, in the order of the columns of its heads.

    Raises:
        FieldError: the metrics do not name them.
    """
    try:
        return tuple(dict.fromkeys(str(each["label"]) for each in run.metrics["groups"]))
    except (KeyError, TypeError) as error:
        raise FieldError("metrics.json", "groups with their label", repr(error)) from error
