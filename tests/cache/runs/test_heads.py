"""Heads of a run folder by method and seed, and the errors of those that it lacks."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clip_cfr.cache.errors import CacheError, FieldError
from clip_cfr.cache.runs.heads import all_seeds, choose_head, class_names, read_head
from clip_cfr.cache.runs.run import Run, write_run


def linear_head(value: float) -> dict[str, np.ndarray]:
    return {"logits_weight": np.full((3, 2), value), "logits_bias": np.zeros(2)}


RUN = Run(
    config={"methods": ["zeroshot", "erm", "cfr"]},
    provenance={},
    metrics={
        "groups": [{"label": k, "attribute": a} for k in ("cat", "dog") for a in ("in", "out")]
    },
    heads={
        "erm-seed10": linear_head(1),
        "erm-seed2": linear_head(2),
        "cfr-seed2": linear_head(3),
        "cfr-seed10": linear_head(4),
    },
    formulas={"cfr-seed10": "softmax(features @ logits_weight + logits_bias)"},
    recommended="cfr-seed10",
)


@pytest.mark.parametrize(
    ("method", "seed", "expected"),
    [
        (None, None, ("cfr", 10, 4)),
        (None, 2, ("cfr", 2, 3)),
        ("cfr", None, ("cfr", 10, 4)),
        ("erm", None, ("erm", 2, 2)),
        ("erm", 10, ("erm", 10, 1)),
    ],
)
def test_a_head_is_that_of_the_method_and_seed(method, seed, expected):
    found = choose_head(RUN, method, seed)
    assert (found.method, found.seed, found.arrays["logits_weight"][0, 0]) == expected
    assert found.dim == 3


def test_all_seeds_of_a_method_ascend():
    assert [(each.method, each.seed) for each in all_seeds(RUN, "erm")] == [("erm", 2), ("erm", 10)]


def test_a_head_is_read_with_its_formula(tmp_path: Path):
    write_run(tmp_path / "run", RUN)
    assert read_head(tmp_path / "run").formula == RUN.formulas["cfr-seed10"]
    with pytest.raises(CacheError) as error:
        read_head(tmp_path / "run", "dfr")
    assert str(error.value) == (
        f"{tmp_path / 'run'}: method: expected one with a stored head: erm, cfr, found dfr; name "
        "one that it has, or calibrate again with --method"
    )


@pytest.mark.parametrize(
    ("changed", "method", "seed", "message"),
    [
        (
            {},
            "zeroshot",
            None,
            "method: expected one with a stored head: erm, cfr, found zeroshot, which stored no "
            "head",
        ),
        ({}, "erm", 3, "seed of erm: expected one of 2, 10, found 3"),
        (
            {"recommended": None},
            None,
            None,
            "method: expected one with a stored head: erm, cfr, found none, and the run "
            "recommends none",
        ),
        ({"heads": {}}, None, None, "heads.json: expected at least one head, found none"),
        (
            {"heads": {"cfr": linear_head(1)}},
            None,
            None,
            "heads.json: expected heads called METHOD-seedN, found cfr",
        ),
        (
            {"heads": {"cfr-seed1": {"projection": np.eye(2)}}},
            None,
            None,
            "heads/cfr-seed1.npz: expected projection and logit_scale and class_embeddings or "
            "linear_weight and linear_bias or logits_weight and logits_bias, found projection",
        ),
    ],
)
def test_a_missing_head_is_refused(changed, method, seed, message):
    with pytest.raises(FieldError) as error:
        choose_head(replace(RUN, **changed), method, seed)
    assert str(error.value) == message


def test_classes_are_those_of_the_groups():
    assert class_names(RUN) == ("cat", "dog")
    with pytest.raises(FieldError) as error:
        class_names(replace(RUN, metrics={}))
    assert str(error.value) == (
        "metrics.json: expected groups with their label, found KeyError('groups')"
    )
