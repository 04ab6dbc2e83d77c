"""Study of the head whose errors are the calibration set: its training, and CLIP's own head."""

from clip_cfr.calibrate.studies.data import StudyData
from clip_cfr.calibrate.studies.sentences import count_rows, describe_gains, format_accuracy
from clip_cfr.calibrate.studies.study import Point, Study

STEPS, RATES = (100, 400, 2000), (1e-3, 1e-2)
ZEROSHOT = "CLIP's own errors"


def make_label(rate: float, steps: int) -> str:
    """Return the label of a head: `lr 0.001, 400 steps`."""
    return f"lr {rate:g}, {steps} steps"


REFERENCE = make_label(RATES[0], STEPS[1])  # the default


def answer(data: StudyData) -> tuple[str, str]:
    """Describe the sets, and compare CFR on the one that val chooses with CFR on the others."""
    fitted = data.fitted()
    if not fitted:
        data.require(*data.points)
    return describe_sets(data, fitted), describe_choice(data, fitted)


def describe_sets(data: StudyData, labels: list[str]) -> str:
    """Return the sentence on the sizes of the sets, and on the share of minority groups in them."""
    small, large = (
        pick(labels, key=lambda each: data.points[each].set_size) for pick in (min, max)
    )
    sizes = (
        f"The calibration set has from {count_rows(data, small)} ({small}) to "
        f"{count_rows(data, large)} ({large})"
    )
    if not data.has_groups:
        return f"{sizes}; which groups they are of is not known."
    low, high = (pick(labels, key=data.minority_share) for pick in (min, max))
    return (
        f"{sizes}, of which {format_accuracy(data.minority_share(low))} ({low}) to "
        f"{format_accuracy(data.minority_share(high))} ({high}) are of minority groups, against "
        f"{format_accuracy(data.train_minority_share)} of the training split."
    )


def describe_choice(data: StudyData, labels: list[str]) -> str:
    """Return the sentence that compares the set that val chooses with the others."""
    chosen = data.choose_on_val(labels)
    gains = data.gains([each for each in labels if each != chosen], chosen)
    return (
        f"By val {data.selection} the set of {chosen} is chosen, with "
        f"{format_accuracy(data.accuracy(chosen))} {data.measure}; "
        f"{describe_gains(gains, 'the others', 'it')}."
    )


STUDY = Study(
    name="calibration-quality",
    points=(
        *(
            Point(
                make_label(rate, steps),
                "cfr",
                {
                    "calibration_source": "identification",
                    "identification_lr": rate,
                    "identification_steps": steps,
                },
            )
            for rate in RATES
            for steps in STEPS
        ),
        Point(ZEROSHOT, "cfr", {"calibration_source": "zeroshot"}),
    ),
    reference=REFERENCE,
    answer=answer,
    budget={"steps": 1000},
)
