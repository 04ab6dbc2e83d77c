"""Study of the sampling strategies and the ablations of CFR, beside ERM."""

from clip_cfr.calibrate.studies.data import StudyData
from clip_cfr.calibrate.studies.sentences import (
    capitalize,
    describe_gain,
    describe_gains,
    format_accuracy,
)
from clip_cfr.calibrate.studies.study import Point, Study

STRATEGIES = {
    f"{positive.upper()} + {negative.upper()}": {"positive": positive, "negative": negative}
    for positive in ("dps", "rps")
    for negative in ("rns", "nns")
}
# The ablations have the strategy that the settings give; by default the paper's, which is this one.
PAPER, ERM = "DPS + RNS", "ERM"
ABLATIONS = {
    "without contrast": "cfr-no-contrast",
    "without holistic": "cfr-no-holistic",
    "error set": "error-set",
}
PAPERS = STRATEGIES[PAPER]


def answer(data: StudyData) -> tuple[str, str]:
    """Compare the strategy that val chooses with ERM and the others, and the ablations with CFR."""
    strategies, ablations = data.fitted([*STRATEGIES]), data.fitted([*ABLATIONS])
    data.require(ERM, PAPER)
    best = data.choose_on_val(strategies)
    others = [each for each in strategies if each != best]
    share = 1 + len(others) + len(ablations)
    over_erm = data.gain(best, ERM, share)
    rivals = data.gains(others, best, share)
    first = (
        f"By val {data.selection} {best} is chosen of the four strategies, with "
        f"{format_accuracy(data.accuracy(best))} {data.measure}: "
        f"{describe_gain('it', ERM, over_erm)}; "
        f"{describe_gains(rivals, 'the others', 'it')}"
    )
    gains = data.gains(ablations, PAPER, share) if ablations else {}
    second = capitalize(describe_gains(gains, "the ablations", f"CFR with {PAPER}"))
    return f"{first}.", f"{second}."


STUDY = Study(
    name="strategies",
    points=(
        Point(ERM, "erm"),
        *(Point(label, "cfr", changes) for label, changes in STRATEGIES.items()),
        Point("without contrast", "cfr-no-contrast", {}),
        Point("without holistic", "cfr-no-holistic", PAPERS),
        Point("error set", "error-set", {}),
    ),
    reference=ERM,
    answer=answer,
    budget={"steps": 1000},
)
