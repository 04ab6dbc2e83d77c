"""Parts of answers: accuracies and differences in words, with their intervals."""

from collections.abc import Mapping

from clip_cfr.cache.wording import count_noun
from clip_cfr.calibrate.comparison.recommendation import Gain
from clip_cfr.calibrate.studies.data import StudyData


def describe_gain(first: str, second: str, gain: Gain) -> str:
    """Return a clause on a difference; within noise it claims none.

    For example, `it is 3.1 points above ERM (95 % interval +1.0 to +5.2)` or `the data do not tell
    it from ERM (+1.2 points, 95 % interval -2.0 to +4.1)`.

    Args:
        first, second: names of what is compared.
        gain: that of `first` over `second`.
    """
    interval = f"95 % interval {format_points(gain.low)} to {format_points(gain.high)}"
    if not gain.is_beyond_noise:
        points = format_points(gain.margin)
        return f"the data do not tell {first} from {second} ({points} points, {interval})"
    order = "above" if gain.low > 0 else "below"
    return f"{first} is {100 * abs(gain.margin):.1f} points {order} {second} ({interval})"


def describe_gains(gains: Mapping[str, Gain], first: str, second: str) -> str:
    """Return a phrase on several differences, each with its interval.

    For example, `smaller sets against the whole set (points, 95 % intervals): random 10 % -5.1
    (-8.0 to -2.2), random 50 % +0.3 (-1.0 to +1.6, within noise)`, or, if all are within noise,
    `the data do not tell smaller sets from the whole set (points, 95 % intervals): ...`.

    Args:
        gains: those of `first` over `second`, by the case; may be empty.
        first, second: names of what is compared.
    """
    if not gains:
        return f"nothing was fitted to compare {first} with {second}"
    if all_within_noise(gains):
        start = f"the data do not tell {first} from {second}"
    else:
        start = f"{first} against {second}"
    return f"{start} (points, 95 % intervals): {list_gains(gains)}"


def list_gains(gains: Mapping[str, Gain]) -> str:
    """Return differences as a list: `A -5.1 (-8.0 to -2.2), B +0.3 (-1.0 to +1.6, within noise)`.

    Numbers are points, those in parentheses the ends of the interval.
    """
    return ", ".join(f"{name} {format_gain(each)}" for name, each in gains.items())


def format_gain(gain: Gain) -> str:
    """Return a difference with its interval in points: `+0.3 (-1.0 to +1.6, within noise)`."""
    noise = "" if gain.is_beyond_noise else ", within noise"
    ends = f"{format_points(gain.low)} to {format_points(gain.high)}"
    return f"{format_points(gain.margin)} ({ends}{noise})"


def format_points(value: float) -> str:
    """Return a difference of accuracies in points with its sign; `+0.0` for a rounded zero."""
    return f"{round(100 * value, 1) + 0.0:+.1f}"


def format_accuracy(value: float) -> str:
    """Return an accuracy in per cent: `88.2 %`."""
    return f"{100 * value:.1f} %"


def all_within_noise(gains: Mapping[str, Gain]) -> bool:
    """Return whether no difference is beyond noise."""
    return not any(each.is_beyond_noise for each in gains.values())


def capitalize(text: str) -> str:
    """Return text with its first letter in upper case."""
    return text[:1].upper() + text[1:]


def count_rows(data: StudyData, label: str) -> str:
    """Return the mean number of rows in a calibration set with its noun: `34 rows`."""
    return count_noun(round(data.points[label].set_size), "row")
