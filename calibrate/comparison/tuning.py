"""How the methods of a comparison were tuned: their trials and the settings chosen."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self

from clip_cfr.cache.wording import count_noun
from clip_cfr.calibrate.comparison.titles import format_settings
from clip_cfr.calibrate.core.errors import SettingsError
from clip_cfr.calibrate.core.settings import Settings, Value
from clip_cfr.calibrate.methods import METHOD_TITLES, METHODS, load_method

SETTING_NAMES = tuple(each.name for each in fields(Settings))
NO_SETTINGS = "not tuned: it has no settings to tune"
CHOOSES_ITSELF = "chooses its settings on validation itself"
ALL_FIXED = "not tuned: its settings to tune are fixed"
OPTIMISM = (
    "Tuning saw all validation rows, those that the recommendation compares on too, which favours "
    "tuned methods there; no trial saw the test split."
)


@dataclass(frozen=True)
class TuningTrial:
    """One trial of a method: settings of its search space, fitted with one seed.

    Attributes:
        settings: the tuned settings with their values.
        val: accuracy on the validation split by the criterion of the tuning, in [0, 1]; None if the
            trial failed.
        reason: why it failed; None if it did not.
    """

    settings: Mapping[str, Value]
    val: float | None
    reason: str | None = None


@dataclass(frozen=True)
class Tuning:
    """The trials of all tuned methods.

    Attributes:
        trials: number of trials of each method; the first has the settings that were given.
        seed: the seed of all trials.
        criterion: the validation criterion that ranks the trials, such as `inferred-groups`.
        fixed: settings of search spaces that the user fixed, so that no method was tuned in them.
        hold_rows: rows of features in memory at a time; None for all.
        prompts: the set of class prompts; None for those of the cache.
        methods: the trials in their order, by method; without methods that were not tuned.
    """

    trials: int
    seed: int
    criterion: str
    fixed: tuple[str, ...]
    hold_rows: int | None
    prompts: str | None
    methods: Mapping[str, tuple[TuningTrial, ...]]

    @property
    def chosen(self) -> dict[str, Mapping[str, Value]]:
        """The settings of the best trial by method; without methods all of whose trials failed."""
        best = {name: best_trial(trials) for name, trials in self.methods.items()}
        return {name: each.settings for name, each in best.items() if each is not None}

    @property
    def failures(self) -> dict[str, str]:
        """The reason by method for methods all of whose trials failed."""
        return {
            name: f"all trials of tuning failed ({len(trials)} of {len(trials)}); the first: "
            f"{trials[0].reason}"
            for name, trials in self.methods.items()
            if best_trial(trials) is None
        }

    def apply(self, settings: Settings) -> dict[str, Settings]:
        """Return these settings with the chosen ones, by method; without methods that have none."""
        return {name: replace(settings, **values) for name, values in self.chosen.items()}

    def describe_method(self, name: str) -> str | None:
        """Return why a method was not tuned; None if it was."""
        if name in self.methods:
            return None
        declared = load_method(name)
        if declared.chooses_on_val:
            return CHOOSES_ITSELF
        return f"{ALL_FIXED} ({', '.join(declared.search)})" if declared.search else NO_SETTINGS

    def to_json(self) -> dict[str, Any]:
        """Return the fields by name, in JSON types."""
        return asdict(self) | {"fixed": list(self.fixed)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the tuning that `to_json` wrote; KeyError or TypeError if it is malformed."""
        methods = values["methods"].items()
        trials = {name: tuple(TuningTrial(**each) for each in found) for name, found in methods}
        return cls(**{**values, "fixed": tuple(values["fixed"]), "methods": trials})


def best_trial(trials: Sequence[TuningTrial]) -> TuningTrial | None:
    """Return the trial with the highest validation accuracy, of equal ones the first.

    None if all failed.
    """
    complete = [each for each in trials if each.val is not None]
    return max(complete, key=lambda each: each.val, default=None)


def tunable_settings(method: str, fixed: Collection[str]) -> tuple[str, ...]:
    """Return the settings to tune for a method, without fixed ones; may be empty."""
    return tuple(name for name in load_method(method).search if name not in fixed)


def check_tuning(trials: int, methods: Sequence[str], fixed: Collection[str]) -> None:
    """Check the arguments of a tuning.

    Raises:
        SettingsError: there is no trial, `fixed` has an unknown setting, or no method has settings
            to tune.
    """
    if trials < 1:
        raise SettingsError(f"--tune {trials}: expected at least 1 trial")
    for name in sorted(fixed):
        if name not in SETTING_NAMES:
            raise SettingsError(f"fixed: there is no setting {name!r}; calibrate --help lists them")
    if any(tunable_settings(each, fixed) for each in methods):
        return
    names, held = ", ".join(methods), ", ".join(searched_settings(methods))
    if held:
        raise SettingsError(
            f"--tune: all settings to tune of {names} are fixed: {held}; leave some out, or leave "
            "out --tune"
        )
    others = ", ".join(each for each in METHODS if load_method(each).search)
    raise SettingsError(
        f"--tune: none of {names} has settings to tune; add --method with one of {others}, or "
        "leave out --tune"
    )


def searched_settings(methods: Iterable[str]) -> tuple[str, ...]:
    """Return the settings in the search spaces of methods, each once."""
    return tuple(dict.fromkeys(name for each in methods for name in load_method(each).search))


def tuning_title(tuning: Tuning | None) -> list[str]:
    """Return the line of a table's title on the tuning; none without.

    For example, `each method tuned with 20 trials on the validation split (seed 0)`.
    """
    if tuning is None:
        return []
    trials = count_noun(tuning.trials, "trial")
    return [f"each method tuned with {trials} on the validation split (seed {tuning.seed})"]


def tuning_notes(tuning: Tuning | None, methods: Iterable[str]) -> list[str]:
    """Return the lines below the tables on the tuning; none without.

    They are the chosen settings, the methods that were not tuned and why, fixed settings, failed
    trials, and a remark on the recommendation.

    Args:
        tuning: the tuning.
        methods: the fitted methods, in the order of the table.
    """
    if tuning is None:
        return []
    shown, chosen = list(methods), tuning.chosen
    lines = [
        f"Tuned {METHOD_TITLES[name]}: {format_settings(chosen[name])}"
        for name in shown
        if name in chosen
    ]
    others = {name: reason for name in shown if (reason := tuning.describe_method(name))}
    lines += [f"{METHOD_TITLES[name]}: {reason}" for name, reason in others.items()]
    if tuning.fixed:
        lines.append(f"Fixed, not tuned for any method: {', '.join(tuning.fixed)}")
    failed = {name: failed_trials(tuning.methods[name]) for name in chosen}
    lines += [
        f"Failed trials of {METHOD_TITLES[name]}: {len(found)} of {tuning.trials}; the first, "
        f"{format_settings(found[0].settings)}: {found[0].reason}"
        for name, found in failed.items()
        if found
    ]
    return [*lines, OPTIMISM]


def failed_trials(trials: Sequence[TuningTrial]) -> list[TuningTrial]:
    """Return the trials that failed."""
    return [each for each in trials if each.val is None]
