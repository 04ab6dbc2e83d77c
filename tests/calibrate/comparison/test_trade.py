"""The trade of ERM's errors against its right answers."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import beta

from clip_cfr.calibrate.comparison.trade import Trade, measure_trade
from tests.calibrate.synthetic import make_task

TASK = make_task(sizes=(50, 40, 10))
LABELS = np.repeat([0, 1], 20)
THEIRS = np.array(([True] * 16 + [False] * 4) + ([True] * 14 + [False] * 6))


def make_ours() -> np.ndarray:
    """Mend 3 of 4 and 1 of 6 errors; lose 2 of 16 and none of 14 right answers."""
    ours = THEIRS.copy()
    ours[[16, 17, 18, 34]] = True
    ours[[0, 1]] = False
    return ours


def trade_of(ours, theirs=THEIRS, **changes) -> Trade | None:
    labels = TASK.labels.copy()
    labels[TASK.rows("val")] = LABELS
    return measure_trade(replace(TASK, labels=labels, **changes), "cfr", "erm", ours, theirs)


def test_counts_mended_errors_and_lost_answers_by_class():
    found = trade_of(make_ours())
    assert (found.mended.hits, found.mended.rows) == (4, 10)
    assert (found.lost.hits, found.lost.rows) == (2, 30)
    assert [(each.mended, each.errors, each.lost, each.right) for each in found.classes] == [
        (3, 4, 2, 16),
        (1, 6, 0, 14),
    ]


def test_intervals_are_those_of_clopper_and_pearson():
    found = trade_of(make_ours())
    for share in (found.mended, found.lost):
        expected = (
            beta.ppf(0.025, share.hits, share.rows - share.hits + 1),
            beta.ppf(0.975, share.hits + 1, share.rows - share.hits),
        )
        assert share.interval == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("mend", "lose", "expected"),
    [(1, 3, False), (2, 3, True), (0, 0, False), (10, 7, True), (10, 8, False)],
)
def test_it_is_offered_if_it_mends_more_than_it_loses_and_loses_at_most_a_quarter(
    mend, lose, expected
):
    ours = THEIRS.copy()
    ours[np.flatnonzero(~THEIRS)[:mend]] = True
    ours[np.flatnonzero(THEIRS)[:lose]] = False
    assert trade_of(ours).is_offered is expected


def test_rows_of_one_subject_count_as_fewer():
    subjects = np.arange(len(TASK.labels), dtype=np.int32)
    subjects[TASK.rows("val")] = np.arange(40) // 4
    rows, few = trade_of(make_ours()), trade_of(make_ours(), subjects=subjects)
    assert few.mended.hits == rows.mended.hits
    assert few.mended.interval[1] - few.mended.interval[0] > np.diff(rows.mended.interval)


def test_a_method_that_changes_nothing_is_not_offered():
    found = trade_of(THEIRS)
    assert (found.mended.hits, found.lost.hits) == (0, 0)
    assert not found.is_offered


@pytest.mark.parametrize("theirs", [np.ones(40, bool), np.zeros(40, bool)])
def test_there_is_none_without_errors_or_without_right_answers(theirs):
    assert trade_of(make_ours(), theirs) is None


def test_is_read_back():
    found = trade_of(make_ours())
    assert Trade.from_json(found.to_json()) == found


def test_is_described_with_its_condition():
    names = TASK.class_names
    assert trade_of(make_ours()).describe("CFR", "ERM") == (
        "Use CFR (--method cfr of predict and export) if you expect that the correlations of the "
        "training images do not hold where you deploy it, otherwise ERM, their default. With "
        "each half of val judged by the heads that the other half selects, CFR mends 4 of the 10 "
        "errors of ERM (95 % interval 12.2 to 73.8 %) and loses 2 of its 30 right answers (95 % "
        f"interval 0.8 to 22.1 %); by class: {names[0]!r} 3 of 4 and 2 of 16; {names[1]!r} 1 of 6 "
        "and 0 of 14."
    )
