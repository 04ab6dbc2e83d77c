"""Plans on the synthetic tasks, searches without a database, and values that tests compare."""

from datetime import datetime, timedelta

from optuna import Study
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from clip_cfr.calibrate.grid.axes import Choices
from clip_cfr.calibrate.grid.grid_plan import GridPlan
from clip_cfr.calibrate.grid.plan import Plan
from clip_cfr.calibrate.grid.point_result import METRICS, SeedResult
from clip_cfr.calibrate.grid.study import GridSearches, open_searches
from clip_cfr.calibrate.grid.trials import Search
from tests.calibrate.synthetic import quick_settings

SPACE = {"identification_lr": Choices((1e-3, 3e-3)), "lr": Choices((1e-4, 1e-3))}
START = datetime(2026, 1, 1)


def quick_plan(**changes) -> Plan:
    """Return the plan of two learning rates of each of the two stages, with two seeds."""
    arguments = {
        "cache_digest": "0" * 64,
        "space": SPACE,
        "fixed": quick_settings(),
        "seeds": (0, 1),
    }
    return Plan(**{**arguments, **changes})


def open_plan(url: str, plan: Plan):
    """Open the searches of a grid of one method without references."""
    return open_searches(url, "grid", GridPlan((plan,)))


def make_seed_result(seed: int, val: float, test: float) -> SeedResult:
    """Return a result whose accuracies on a split are all the same."""
    return SeedResult(seed, 5, dict.fromkeys(METRICS, val), dict.fromkeys(METRICS, test))


def make_trial(
    number: int,
    state: TrialState = TrialState.COMPLETE,
    *,
    val: tuple[float, ...] = (),
    test: tuple[float, ...] = (),
    params: dict[str, float] | None = None,
    reason: str | None = None,
) -> FrozenTrial:
    """Return a trial as an earlier version stored it, with settings as parameters.

    Args:
        number: of the trial and of its point.
        state: running or finished.
        val: accuracy of each seed on the validation split, for every metric.
        test: the same on the test split.
        params: the settings.
        reason: why it is pruned or failed.
    """
    params = {"lr": 1e-3} if params is None else params
    runs = [
        make_seed_result(seed, *each).to_json()
        for seed, each in enumerate(zip(val, test, strict=True))
    ]
    return FrozenTrial(
        number=number,
        trial_id=number,
        state=state,
        value=sum(val) / len(val) if val else None,
        datetime_start=START,
        datetime_complete=START + timedelta(seconds=3),
        params=params,
        distributions=dict.fromkeys(params, FloatDistribution(0, 1)),
        user_attrs={"point": number, **({"reason": reason} if reason else {"runs": runs})},
        system_attrs={},
        intermediate_values={},
    )


class ListStudy(Study):
    """A study without a database."""

    def __init__(self, trials: list[FrozenTrial]):
        self.study_name = "grid"
        self.list_of_trials = trials

    def get_trials(self, *_, **__) -> list[FrozenTrial]:
        return list(self.list_of_trials)


def make_search(plan: Plan, trials: list[FrozenTrial]) -> Search:
    """Return a search whose study is a list of trials, which may grow."""
    return Search(plan, ListStudy(trials))


def make_searches(plan: Plan, trials: list[FrozenTrial]) -> GridSearches:
    """Return the searches of a grid of one method without references."""
    return GridSearches((make_search(plan, trials),))
