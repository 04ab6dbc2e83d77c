"""Sentences about the images that words give a value to."""

from clip_cfr.cache.wording import count_noun
from clip_cfr.calibrate.comparison.titles import format_per_cent
from clip_cfr.calibrate.named.summary import SplitSummary


def describe_left_out(split: str, summary: SplitSummary, margin: float) -> str:
    """Return how many rows have no named value, as `3 test rows are left out, with ...`."""
    rows = count_noun(summary.left_out, f"{split} row is", f"{split} rows are")
    return f"{rows} left out, with a margin below {margin:g}"


def describe_agreement(split: str, summary: SplitSummary) -> list[str]:
    """Return a sentence on the agreement with the attribute of the cache; none without any value.

    It has the agreement over all images, and that of the group with the lowest, if groups differ.
    """
    if not summary.groups:
        return ["The cache has no attribute, so their agreement with one is unknown."]
    known = [each for each in summary.groups if each.agreement is not None]
    if not known:
        return []
    line = (
        f"Agreement of the values with the attribute of the cache on the {split} split, in per "
        f"cent: {format_per_cent(summary.agreement)} over all images"
    )
    lowest = min(known, key=lambda each: each.agreement)
    if lowest.agreement < summary.agreement:
        line += (
            f", lowest in the group ({lowest.label}, {lowest.attribute}): "
            f"{format_per_cent(lowest.agreement)} of {lowest.n:,}"
        )
    return [f"{line}."]
