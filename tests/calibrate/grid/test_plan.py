"""Plans: their points, their identity, and arguments that contradict each other."""

import hashlib
import json
from dataclasses import asdict, replace

import pytest
from optuna.samplers import RandomSampler, TPESampler

from clip_cfr.calibrate.core.errors import SettingsError
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.core.stage_spec import ERM_STAGE, STAGE_SETTINGS
from clip_cfr.calibrate.grid.axes import Choices, Interval
from clip_cfr.calibrate.grid.grid_plan import make_grid_plan
from clip_cfr.calibrate.grid.plan import Plan

SPACE = {"weight_decay": Choices((1e-4, 1e-3)), "positive": Choices(("dps", "rps", "x"))}
RANGE = {"lr": Interval(1e-5, 1e-2)}


def make_plan(**changes) -> Plan:
    arguments = {"cache_digest": "0" * 64, "space": SPACE, "fixed": Settings(), "seeds": (0, 1)}
    return Plan(**{**arguments, **changes})


def make_plans(space=SPACE, **changes):
    return make_grid_plan(space, Settings(), cache_digest="0" * 64, seeds=(0, 1), **changes)


class TestPoints:
    def test_of_a_grid_are_every_combination_and_the_first_axis_varies_slowest(self):
        plan = make_plan()
        found = [tuple(plan.values_at(point).values()) for point in range(plan.num_points)]
        assert found == [(lr, name) for lr in (1e-4, 1e-3) for name in ("dps", "rps", "x")]
        assert all(type(lr) is float for lr, _ in found)

    def test_are_found_by_their_values(self):
        plan = make_plan()
        found = [plan.index_of(plan.values_at(point)) for point in range(plan.num_points)]
        assert found == list(range(6))

    @pytest.mark.parametrize(
        "values",
        [
            {},
            {"weight_decay": 1e-4},
            {"weight_decay": 1e-4, "positive": "y"},
            {"lr": 1, "positive": "dps"},
        ],
    )
    def test_of_other_values_are_none(self, values):
        assert make_plan().index_of(values) is None

    def test_of_a_large_grid_are_not_enumerated(self):
        plan = make_plan(space={name: Choices(tuple(range(1000))) for name in "abcd"})
        assert plan.num_points == 10**12
        assert plan.values_at(10**12 - 1) == dict.fromkeys("abcd", 999)
        assert plan.index_of(dict.fromkeys("abcd", 999)) == 10**12 - 1

    def test_without_an_axis_are_one(self):
        plan = make_plan(space={})
        assert (plan.num_points, plan.values_at(0), plan.index_of({})) == (1, {}, 0)

    def test_have_the_fixed_settings_except_those_of_the_axes(self):
        plan = make_plan(fixed=Settings(steps=7, precision="float32"))
        expected = Settings(steps=7, lr=0.5, precision="float32")
        assert plan.settings_with({"lr": 0.5}) == expected


@pytest.mark.parametrize(
    ("selection", "criterion", "metric"),
    [
        ("worst-class", "worst-class", "worst_class"),
        ("average", "average", "average"),
        ("worst-group", "worst-group", "worst_group"),
        ("last", "worst-class", "worst_class"),
    ],
)
def test_points_are_ranked_by_the_criterion_of_the_selection(selection, criterion, metric):
    plan = make_plan(fixed=Settings(selection=selection))
    assert (plan.criterion, plan.metric) == (criterion, metric)


class TestDigest:
    @pytest.mark.parametrize(
        "changes",
        [
            {"cache_digest": "1" * 64},
            {"prompts": "name"},
            {"space": {"positive": Choices(("dps", "rps"))}},
            {"fixed": Settings(steps=7)},
            {"seeds": (0,)},
            {"method": "dfr"},
            {"prune": True},
            {"resident_rows": 5},
            {"sampler": "tpe", "trials": 3},
        ],
        ids=lambda changes: next(iter(changes)),
    )
    def test_differs_if_results_may_differ(self, changes):
        assert make_plan(**changes).digest != make_plan().digest

    def test_is_the_same_for_the_same_results(self):
        assert make_plan().digest == make_plan().digest
        assert make_plan(fixed=Settings(weight_decay=7)).digest == make_plan().digest

    def test_does_not_depend_on_the_number_of_trials(self):
        few, many = (make_plan(sampler="random", trials=count) for count in (3, 30))
        assert few.digest == many.digest

    def test_of_a_full_grid_does_not_depend_on_its_values(self):
        grown = {**SPACE, "weight_decay": Choices((1e-4, 1e-3, 1e-2))}
        assert make_plan(space=grown).digest == make_plan().digest

    def test_of_sampled_points_depends_on_the_values(self):
        plans = [
            make_plan(space={"lr": Choices(values)}, sampler="tpe", trials=3)
            for values in ((1.0, 2.0), (1.0, 2.0, 3.0))
        ]
        assert plans[0].digest != plans[1].digest

    def test_of_earlier_versions_included_the_values(self):
        axes = {"weight_decay": [1e-4, 1e-3], "positive": ["dps", "rps", "x"]}
        identity = {**make_plan().identity, "space": axes}
        text = json.dumps(identity, sort_keys=True)
        expected = hashlib.sha256(text.encode()).hexdigest()[:8]
        assert make_plan().legacy_digest == make_plans().legacy_digest == expected

    def test_of_one_method_is_that_of_its_plan(self):
        assert make_plans().digest == make_plan().digest

    def test_of_several_methods_does_not_depend_on_their_order(self):
        forward, backward = (make_plans(methods=each) for each in (("cfr", "erm"), ("erm", "cfr")))
        assert forward.digest == backward.digest
        assert forward.digest != make_plans().digest


class TestMethods:
    def test_vary_only_the_settings_that_they_depend_on(self):
        plan = make_plans(methods=("erm", "cfr", "dfr"))
        assert {each.method: list(each.space) for each in plan.methods} == {
            "erm": ["weight_decay"],
            "cfr": ["weight_decay", "positive"],
            "dfr": [],
        }
        assert [each.num_points for each in plan.methods] == [2, 6, 1]

    def test_that_vary_nothing_have_one_point_whatever_the_sampler(self):
        plan = make_plans(RANGE, methods=("cfr", "dfr"), sampler="tpe", trials=5)
        assert [each.num_points for each in plan.methods] == [5, 1]

    def test_are_planned_once_and_in_their_order(self):
        plan = make_plans(methods=("erm", "cfr", "erm"))
        assert [each.method for each in plan.methods] == ["erm", "cfr"]

    def test_other_than_cfr_are_not_pruned(self):
        plan = make_plans(methods=("erm", "cfr"), prune=True)
        assert {each.method: each.prune for each in plan.methods} == {"erm": False, "cfr": True}


class TestReferences:
    def test_are_zero_shot_and_erm_with_one_point_each(self):
        references = make_plans(RANGE, sampler="tpe", trials=5).references
        assert [each.method for each in references] == ["zeroshot", "erm"]
        assert [each.num_points for each in references] == [1, 1]
        assert all(each.fixed == Settings() for each in references)

    def test_are_identified_by_the_settings_that_they_depend_on(self):
        zeroshot, erm = make_plans().references
        assert set(zeroshot.fixed_settings) == {"selection"}
        assert set(erm.fixed_settings) == {
            ERM_STAGE.lr,
            ERM_STAGE.steps,
            *STAGE_SETTINGS,
            "selection",
        }
        assert set(make_plan().fixed_settings) == set(asdict(Settings())) - set(SPACE)


class TestSamplers:
    def test_are_of_the_requested_kind(self):
        assert isinstance(make_plan(sampler="tpe", trials=1).make_sampler(0), TPESampler)
        assert isinstance(make_plan(sampler="random", trials=1).make_sampler(0), RandomSampler)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"space": RANGE},
            "--set lr: a range cannot be enumerated; give values, or use --sampler tpe or random",
        ),
        ({"trials": 3}, "--trials: --sampler grid fits every combination; leave it out"),
        ({"sampler": "tpe"}, "--sampler tpe needs --trials, the number of points"),
        (
            {"sampler": "random", "space": RANGE},
            "--sampler random needs --trials, the number of points",
        ),
        ({"sampler": "best"}, "sampler is 'best', expected one of: grid, tpe, random"),
        ({"seeds": ()}, "seeds is empty, expected at least one"),
        (
            {"prune": True, "method": "dfr"},
            "--prune works with cfr only, not with dfr; leave it out",
        ),
    ],
)
def test_contradictions_are_refused(changes, message):
    with pytest.raises(SettingsError) as error:
        make_plan(**changes)
    assert str(error.value) == message


def test_pruning_needs_cfr_among_the_methods():
    with pytest.raises(SettingsError) as error:
        make_plans(methods=("erm", "dfr"), prune=True)
    assert str(error.value) == "--prune works with cfr only, not with erm, dfr; leave it out"


def test_a_plan_is_a_value():
    assert replace(make_plan(), seeds=(0, 1)) == make_plan()


def test_a_drawn_val_and_a_fixed_first_point_change_the_identity():
    """Plans without them have the identity of earlier versions."""
    plain = make_plan(space=RANGE, sampler="random", trials=2)
    assert not {"val_fraction", "starts_with_fixed"} & plain.identity.keys()
    tuned = replace(plain, starts_with_fixed=True)
    drawn = replace(tuned, val_fraction=0.2)
    assert len({plain.digest, tuned.digest, drawn.digest}) == 3
