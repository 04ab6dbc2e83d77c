"""The line that names the head of a prediction."""

from pathlib import Path

import pytest

from clip_cfr.cache.runs.heads import SavedHead
from clip_cfr.cache.runs.run import Run
from clip_cfr.extract.predict.describe_head import describe_head

TRADE = {"method": "cfr", "over": "erm"}
REST = "val could not decide between erm and cfr: --method {} uses the other"


def line(method: str, *seeds: int, is_default: bool, **metrics) -> str:
    run = Run(config={}, provenance={}, metrics=metrics, recommended="erm-seed1")
    heads = [SavedHead(method, seed, {}, None) for seed in seeds]
    return describe_head(Path("runs/x"), run, heads, is_default)


@pytest.mark.parametrize(
    ("method", "seeds", "is_default", "metrics", "expected"),
    [
        ("erm", (1,), True, {"recommendation": {}}, "erm, seed 1, of runs/x"),
        ("erm", (1,), True, {"recommendation": {"a": 1}}, "erm, seed 1, of runs/x (recommended)"),
        ("erm", (1,), False, {"recommendation": {"a": 1}}, "erm, seed 1, of runs/x (recommended)"),
        ("erm", (0,), True, {"recommendation": {"a": 1}}, "erm, seed 0, of runs/x"),
        ("cfr", (0, 1), False, {}, "cfr, mean of the seeds 0, 1, of runs/x"),
        ("erm", (1,), True, {"trade": TRADE}, f"erm, seed 1, of runs/x; {REST.format('cfr')}"),
        ("cfr", (0,), False, {"trade": TRADE}, "cfr, seed 0, of runs/x"),
    ],
)  # fmt: skip
def test_the_head_and_why_it_was_chosen(method, seeds, is_default, metrics, expected):
    assert line(method, *seeds, is_default=is_default, **metrics) == f"head: {expected}"
