"""Plans: their points, their identity, and what does not go together."""

from dataclasses import replace

import pytest
from optuna.samplers import RandomSampler, TPESampler

from clip_cfr.calibrate.core.errors import SettingsError
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.grid.axes import Choices, Interval
from clip_cfr.calibrate.grid.plan import Plan

SPACE = {"erm_lr": Choices((1e-4, 1e-3)), "positive": Choices(("dps", "rps", "x"))}


def make_plan(**changes) -> Plan:
    given = {"cache": "0" * 64, "space": SPACE, "fixed": Settings(), "seeds": (0, 1), **changes}
    return Plan(**given)


def test_a_grid_has_every_combination_and_varies_the_first_axis_slowest():
    plan = make_plan()
    found = [tuple(plan.combination(each).values()) for each in range(plan.num_points)]
    assert found == [(lr, name) for lr in (1e-4, 1e-3) for name in ("dps", "rps", "x")]
    assert all(type(lr) is float for lr, _ in found)


def test_settings_of_a_point_are_the_fixed_ones_but_for_the_space():
    plan = make_plan(fixed=Settings(steps=7))
    assert plan.settings({"lr": 0.5}) == Settings(steps=7, lr=0.5)


def test_a_large_grid_is_not_laid_out():
    plan = make_plan(space={name: Choices(tuple(range(1000))) for name in "abcd"})
    assert plan.num_points == 10**12
    assert plan.combination(10**12 - 1) == dict.fromkeys("abcd", 999)


@pytest.mark.parametrize(
    ("selection", "criterion", "metric"),
    [
        ("worst-class", "worst-class", "worst_class"),
        ("average", "average", "average"),
        ("worst-group", "worst-group", "worst_group"),
        ("last", "worst-class", "worst_class"),
    ],
)
def test_points_are_judged_by_the_selection_s_criterion(selection, criterion, metric):
    plan = make_plan(fixed=Settings(selection=selection))
    assert (plan.criterion, plan.metric) == (criterion, metric)


@pytest.mark.parametrize(
    "changes",
    [
        {"cache": "1" * 64},
        {"space": {"positive": Choices(("dps", "rps"))}},
        {"fixed": Settings(steps=7)},
        {"seeds": (0,)},
        {"method": "dfr"},
        {"prune": True},
        {"sampler": "tpe", "trials": 3},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_the_digest_tells_apart_what_gives_other_results(changes):
    assert make_plan(**changes).digest != make_plan().digest


def test_the_digest_is_the_same_for_the_same_results():
    assert make_plan().digest == make_plan().digest
    assert make_plan(fixed=Settings(erm_lr=7)).digest == make_plan().digest
    few, many = (make_plan(sampler="random", trials=count) for count in (3, 30))
    assert few.digest == many.digest


class TestSamplers:
    def test_are_of_the_kind_that_was_asked_for(self):
        assert isinstance(make_plan(sampler="tpe", trials=1).make_sampler(0), TPESampler)
        assert isinstance(make_plan(sampler="random", trials=1).make_sampler(0), RandomSampler)


RANGE = {"lr": Interval(1e-5, 1e-2)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"space": RANGE},
            "--set lr: a range has no every combination; list its values, or sample it with "
            "--sampler tpe or random",
        ),
        ({"trials": 3}, "--trials: --sampler grid takes every combination; leave it out"),
        ({"sampler": "tpe"}, "--sampler tpe needs --trials, the number of points"),
        (
            {"sampler": "random", "space": RANGE},
            "--sampler random needs --trials, the number of points",
        ),
        (
            {"prune": True, "method": "dfr"},
            "--prune stops cfr alone, not dfr; leave it out",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(changes, message):
    with pytest.raises(SettingsError) as error:
        make_plan(**changes)
    assert str(error.value) == message


def test_a_plan_is_a_value():
    assert replace(make_plan(), seeds=(0, 1)) == make_plan()
