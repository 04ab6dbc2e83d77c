"""The plans of a study: one for each method, with the points of the study alone."""

from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.grid.axes import Choices
from clip_cfr.calibrate.studies.plans import Source, make_plan, point_values
from clip_cfr.calibrate.studies.study import Point

SOURCE = Source("0" * 64, (0, 1))
POINTS = (
    Point("ERM", "erm"),
    Point("a", changes={"negative": "rns", "negative_pool": 64}),
    Point("b", changes={"negative": "nns", "nns_pool": "minibatch"}),
    Point("b again", changes={"nns_pool": "minibatch", "negative": "nns"}),
)


def test_points_are_not_every_combination():
    erm, cfr = make_plan(SOURCE, POINTS, Settings()).methods
    assert (erm.method, erm.num_points, erm.values_at(0)) == ("erm", 1, {})
    assert (cfr.method, cfr.num_points, cfr.has_details) == ("cfr", 2, True)
    assert cfr.values_at(0) == {"negative": "rns", "negative_pool": 64, "nns_pool": "all"}
    assert cfr.values_at(1) == {
        "negative": "nns",
        "negative_pool": "minibatch",
        "nns_pool": "minibatch",
    }
    assert cfr.space["negative"] == Choices(("rns", "nns"))
    assert [cfr.index_of(cfr.values_at(point)) for point in range(2)] == [0, 1]
    assert cfr.index_of({"negative": "rns", "negative_pool": 8, "nns_pool": "all"}) is None


def test_points_with_the_same_values_are_fitted_once():
    values = [point_values(POINTS, Settings(), each) for each in POINTS[2:]]
    assert values[0] == values[1]


def test_details_are_part_of_the_identity():
    plan = make_plan(SOURCE, POINTS, Settings()).methods[1]
    assert plan.identity["details"] is True
