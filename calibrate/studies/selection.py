"""Study of the criterion and of the validation rows that select the head of CFR."""

from collections.abc import Mapping
from dataclasses import replace

from clip_cfr.calibrate.core.settings import selections_of
from clip_cfr.calibrate.studies.data import Measured, StudyData
from clip_cfr.calibrate.studies.sentences import describe_gains, format_accuracy
from clip_cfr.calibrate.studies.study import Point, Study
from clip_cfr.calibrate.studies.val_rows import TRAIN_CORRELATION

OWN, CORRELATED = "own val", "correlated val"
# A study names no attributes in words.
CRITERIA = selections_of(has_named=False)
LAST, ORACLE = "last", "worst-group"


def name_criterion(selection: str) -> str:
    """Return the name of a criterion, with `worst-group` marked as an oracle."""
    return f"{selection} (oracle)" if selection == ORACLE else selection


def make_label(selection: str, val: str) -> str:
    """Return the label of a criterion on validation rows: `worst-group (oracle), own val`."""
    return f"{name_criterion(selection)}, {val}"


def split_criteria(points: Mapping[str, Measured], selection: str) -> dict[str, Measured]:
    """Return a row for each criterion of each point, which has its heads as the reported ones.

    Args:
        points: the points by label.
        selection: the reported criterion.
    """
    rows = {}
    for val, point in points.items():
        for criterion in point.correct or CRITERIA:
            label = make_label(criterion, val)
            rows[label] = replace(
                point,
                label=label,
                correct={selection: point.correct[criterion]} if point.correct else {},
                val={selection: point.val[criterion]} if point.val else {},
            )
    return rows


def list_criteria(data: StudyData) -> list[str]:
    """Return the criteria to compare: all but `last`, the oracle only where groups are known."""
    return [each for each in CRITERIA if each != LAST and (each != ORACLE or data.has_groups)]


def answer(data: StudyData) -> tuple[str, str]:
    """Compare each criterion with the last step, and correlated with own validation rows."""
    last, criteria = make_label(LAST, OWN), list_criteria(data)
    data.require(last)
    own = {name_criterion(each): (make_label(each, OWN), last) for each in criteria}
    drawn = {
        name_criterion(each): (make_label(each, CORRELATED), make_label(each, OWN))
        for each in criteria
        if data.fitted([make_label(each, CORRELATED)])
    }
    over_last, shifts = (
        {name: data.gain(*pair, len(own) + len(drawn)) for name, pair in pairs.items()}
        for pairs in (own, drawn)
    )
    end = f"the last one, which has {format_accuracy(data.accuracy(last))}"
    text = describe_gains(over_last, "selected heads", end)
    first = f"In {data.measure}, {text}."
    if not shifts:
        return first, "Val with the training correlation was not tried: no attributes are known."
    text = describe_gains(shifts, "heads selected on it", "those selected on all of val")
    return first, f"With val reduced so that it shares the training correlation, {text}."


STUDY = Study(
    name="selection",
    points=(Point(OWN), Point(CORRELATED, val=TRAIN_CORRELATION)),
    reference=make_label(LAST, OWN),
    answer=answer,
    budget={"steps": 2000},
    expand=split_criteria,
)
