"""Study of the size of the calibration set: random and most confident parts of it."""

from clip_cfr.calibrate.studies.data import StudyData
from clip_cfr.calibrate.studies.sentences import (
    capitalize,
    count_rows,
    describe_gains,
    format_accuracy,
)
from clip_cfr.calibrate.studies.study import Point, Study

FRACTIONS = (0.1, 0.25, 0.5, 0.75)
ALL, RANDOM, CONFIDENT = "all", "random", "confident"


def make_label(subset: str, fraction: float) -> str:
    """Return the label of a part of the calibration set: `random 10 %`."""
    return f"{subset} {100 * fraction:.0f} %"


def answer(data: StudyData) -> tuple[str, str]:
    """Compare random parts with the whole set, and confident parts with random ones."""
    data.require(ALL)
    parts = data.fitted([make_label(RANDOM, each) for each in FRACTIONS])
    pairs = {
        f"{100 * each:.0f} %": (make_label(CONFIDENT, each), make_label(RANDOM, each))
        for each in FRACTIONS
    }
    pairs = {name: pair for name, pair in pairs.items() if len(data.fitted(pair)) == 2}
    share = max(1, len(parts) + len(pairs))
    start = (
        f"CFR with all {count_rows(data, ALL)} of the calibration set has "
        f"{format_accuracy(data.accuracy(ALL))} {data.measure}; "
    )
    smaller = describe_gains(data.gains(parts, ALL, share), "smaller sets", "the whole set")
    confident = {name: data.gain(*pair, share) for name, pair in pairs.items()}
    text = describe_gains(confident, "confident", "random errors of the same number")
    return f"{start}{smaller}.", f"{capitalize(text)}."


STUDY = Study(
    name="calibration-size",
    points=(
        Point(ALL, "cfr", {"calibration_size": 1.0, "calibration_subset": RANDOM}),
        *(
            Point(
                make_label(subset, fraction),
                "cfr",
                {"calibration_size": fraction, "calibration_subset": subset},
            )
            for subset in (RANDOM, CONFIDENT)
            for fraction in FRACTIONS
        ),
    ),
    reference=ALL,
    answer=answer,
    budget={"steps": 1000},
)
