"""Study of DPS with rows weighted by the model's certainty."""

from clip_cfr.calibrate.studies.data import StudyData
from clip_cfr.calibrate.studies.sentences import describe_gains, format_accuracy
from clip_cfr.calibrate.studies.study import Point, Study

PLAIN = "none"
WEIGHTINGS = ("confidence", "entropy")


def answer(data: StudyData) -> tuple[str, str]:
    """Compare both weightings with plain DPS, and name the one that val chooses."""
    data.require(PLAIN)
    weighted = data.fitted(WEIGHTINGS)
    chosen = data.choose_on_val([PLAIN, *weighted])
    text = describe_gains(data.gains(weighted, PLAIN), "weighted centroids", "plain DPS")
    name = "plain DPS" if chosen == PLAIN else f"the weighting {chosen}"
    return (
        f"In {data.measure}, {text}.",
        f"By val {data.selection} {name} is chosen, with {format_accuracy(data.accuracy(chosen))} "
        f"against {format_accuracy(data.accuracy(PLAIN))} of plain DPS.",
    )


STUDY = Study(
    name="dps-uncertainty",
    points=tuple(
        Point(each, "cfr", {"positive": "dps", "dps_weighting": each})
        for each in (PLAIN, *WEIGHTINGS)
    ),
    reference=PLAIN,
    answer=answer,
    budget={"steps": 1500},
)
