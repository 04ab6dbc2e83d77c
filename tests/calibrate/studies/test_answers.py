"""The answer of each study, from made-up results whose differences are known."""

import pytest

from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.settings import SELECTIONS
from clip_cfr.calibrate.studies import STUDIES, load_study
from clip_cfr.calibrate.studies.negatives import BATCH_SIZES, POOLS, make_label
from clip_cfr.calibrate.studies.selection import CORRELATED, OWN, split_criteria
from tests.calibrate.studies.made_up import make_data, make_failed, make_point

SAME = "+0.0 (-0.4 to +0.4, within noise)"


def answer(name, *points, **options):
    return load_study(name).answer(make_data(*points, **options))


def lowest(label, accuracy, **options):
    """Return a point whose worst group has an accuracy."""
    return make_point(label, (accuracy, 0.9), **options)


@pytest.mark.parametrize("name", STUDIES)
def test_each_study_has_distinct_labels_and_two_sentences(name):
    study = load_study(name)
    assert study.name == name
    labels = [each.label for each in study.points]
    assert len(set(labels)) == len(labels)
    fitted = {each: make_point(each, selections=SELECTIONS) for each in labels}
    rows = study.expand(fitted, "worst-class")
    assert study.reference in rows
    sentences = study.answer(make_data(*rows.values()))
    assert len(sentences) == 2
    for each in sentences:
        assert each.endswith(".")
        assert "+nan" not in each
        assert "point" not in each or "the data do not tell" in each.lower()


def test_strategies():
    first, second = answer(
        "strategies",
        lowest("ERM", 0.5),
        lowest("DPS + RNS", 0.6, val=0.7),
        lowest("DPS + NNS", 0.6),
        lowest("RPS + RNS", 0.5),
        make_failed("RPS + NNS"),
        lowest("without contrast", 0.55),
        lowest("without holistic", 0.601),
        lowest("error set", 0.4),
    )
    assert first == (
        "By val worst-class DPS + RNS is chosen of the four strategies, with 60.0 % test "
        "worst-group accuracy: it is 10.0 points above ERM (95 % interval +7.2 to +12.7); the "
        f"others against it (points, 95 % intervals): DPS + NNS {SAME}, RPS + RNS -10.0 (-12.7 to "
        "-7.2)."
    )
    assert second == (
        "The ablations against CFR with DPS + RNS (points, 95 % intervals): without contrast -5.0 "
        "(-7.0 to -3.0), without holistic +0.1 (-0.4 to +0.6, within noise), error set -20.0 "
        "(-23.6 to -16.3)."
    )


def test_strategies_without_erm_have_its_reason_instead_of_an_answer():
    points = [lowest(each, 0.5) for each in ("DPS + RNS", "DPS + NNS")]
    with pytest.raises(CalibrationError, match=r"^ERM: diverged$"):
        answer("strategies", make_failed("ERM"), *points)


def test_calibration_size_leaves_out_parts_that_could_not_be_fitted():
    first, second = answer(
        "calibration-size",
        lowest("all", 0.6),
        lowest("random 10 %", 0.4),
        make_failed("random 25 %"),
        lowest("random 50 %", 0.6),
        lowest("confident 10 %", 0.4),
        lowest("confident 25 %", 0.5),
        lowest("confident 50 %", 0.6),
    )
    assert first == (
        "CFR with all 100 rows of the calibration set has 60.0 % test worst-group accuracy; "
        "smaller sets against the whole set (points, 95 % intervals): random 10 % -20.0 (-23.4 to "
        f"-16.5), random 50 % {SAME}."
    )
    assert second == (
        "The data do not tell confident from random errors of the same number (points, 95 % "
        f"intervals): 10 % {SAME}, 50 % {SAME}."
    )


def test_dps_uncertainty_claims_nothing_within_noise():
    first, second = answer(
        "dps-uncertainty",
        lowest("none", 0.6),
        lowest("confidence", 0.6),
        lowest("entropy", 0.605, val=0.7),
    )
    assert first == (
        "In test worst-group accuracy, the data do not tell weighted centroids from plain DPS "
        f"(points, 95 % intervals): confidence {SAME}, entropy +0.5 (-0.2 to +1.2, within noise)."
    )
    assert second == (
        "By val worst-class the weighting entropy is chosen, with 60.5 % against 60.0 % of plain "
        "DPS."
    )


def test_negatives_take_the_pool_that_val_chooses():
    points = [
        lowest(
            make_label(pool, size),
            {"NNS all": 0.6, "NNS minibatch": 0.3}.get(pool, 0.5),
            val=0.7 if pool == "NNS all" else 0.5,
        )
        for pool in POOLS
        for size in BATCH_SIZES
    ]
    gain = "+10.0 (+7.3 to +12.7)"
    assert answer("negatives", *points) == (
        "In test worst-group accuracy, with the pool that val chooses, nearest-neighbour against "
        f"random negatives (points, 95 % intervals): batch 64 {gain}, batch 128 {gain}, batch 256 "
        f"{gain}.",
        "The data do not tell batches of 256 from batches of 64 rows (points, 95 % intervals): NNS "
        f"{SAME}, RNS {SAME}.",
    )


def quality_points(accuracy_of_first: float):
    labels = [each.label for each in load_study("calibration-quality").points]
    return [
        lowest(
            label,
            0.6 if index else accuracy_of_first,
            val=0.7 - index / 100,
            set_groups=(10, 5 * index + 5, 10, 30),
        )
        for index, label in enumerate(labels)
    ]


SIZES = "The calibration set has from 55 rows (lr 0.001, 100 steps) to 85 rows (CLIP's own errors)"


OTHERS = (
    *("lr 0.001, 400 steps", "lr 0.001, 2000 steps", "lr 0.01, 100 steps"),
    *("lr 0.01, 400 steps", "lr 0.01, 2000 steps", "CLIP's own errors"),
)


def test_calibration_quality():
    below = ", ".join(f"{each} -10.0 (-12.7 to -7.2)" for each in OTHERS)
    assert answer("calibration-quality", *quality_points(0.7)) == (
        f"{SIZES}, of which 27.3 % (lr 0.001, 100 steps) to 52.9 % (CLIP's own errors) are of "
        "minority groups, against 5.0 % of the training split.",
        "By val worst-class the set of lr 0.001, 100 steps is chosen, with 70.0 % test worst-group "
        f"accuracy; the others against it (points, 95 % intervals): {below}.",
    )


def test_calibration_quality_without_attributes():
    same = ", ".join(f"{each} {SAME}" for each in OTHERS)
    assert answer("calibration-quality", *quality_points(0.6), has_groups=False) == (
        f"{SIZES}; which groups they are of is not known.",
        "By val worst-class the set of lr 0.001, 100 steps is chosen, with 60.0 % test worst-class "
        f"accuracy; the data do not tell the others from it (points, 95 % intervals): {same}.",
    )


def test_selection_names_the_oracle():
    own = make_point(OWN, (0.6, 0.9), selections=SELECTIONS)
    correlated = make_point(CORRELATED, (0.5, 0.9), selections=SELECTIONS)
    rows = split_criteria({OWN: own, CORRELATED: correlated}, "worst-class")
    first, second = answer("selection", *rows.values())
    start = (
        "In test worst-group accuracy, the data do not tell selected heads from the last one, "
        "which has 60.0 % (points, 95 % intervals): worst-class +0.0"
    )
    assert first.startswith(start)
    assert "worst-group (oracle) +0.0" in first
    assert "last +" not in first
    assert second.startswith(
        "With val reduced so that it shares the training correlation, heads selected on it against "
        "those selected on all of val (points, 95 % intervals): worst-class -10.0 (-12.8 to "
    )


def test_selection_without_attributes_has_no_oracle():
    own = make_point(OWN, selections=SELECTIONS)
    rows = split_criteria({OWN: own}, "worst-class")
    first, second = answer("selection", *rows.values(), has_groups=False)
    assert "oracle" not in first
    assert "test worst-class accuracy" in first
    assert second == "Val with the training correlation was not tried: no attributes are known."
