"""Figures of the model card, against values computed by hand."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest

from clip_cfr.cache.class_prompts import with_prompt_set
from clip_cfr.cache.format.schema import OtherPrompts
from clip_cfr.cache.read.reader import read_cache
from clip_cfr.cache.runs.apply_head import apply_head
from clip_cfr.cache.runs.run import read_run
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.export.card import describe_groups, method_settings
from clip_cfr.extract.export.card_tables import change, markdown, prompt_columns
from clip_cfr.extract.export.group_accuracies import exact_interval, group_accuracies
from clip_cfr.extract.export.other_prompts import (
    blocks_of,
    measure_prompts,
    other_sets,
    single_prompts,
    worst_group,
)
from clip_cfr.extract.export.selected_head import select_head


def too_long(sentences):
    raise ExtractError("too long")


def test_the_interval_is_that_of_clopper_and_pearson():
    """Of 10 right out of 10: (0.025)^(1/10)."""
    assert exact_interval(1.0, 10) == pytest.approx((0.025**0.1, 1.0))


def test_group_accuracies_are_those_of_the_seed(digits_run):
    head = select_head(digits_run / "run", "cfr", 0)
    columns = read_run(digits_run / "run").predictions
    groups = group_accuracies(head)
    assert len(groups) == 4
    for group in groups:
        rows = (columns["split"] == "test") & (columns["label"] == group.label)
        rows &= columns["attribute"] == group.attribute
        for name, accuracy in (("cfr", group.accuracy), ("zeroshot", group.zero_shot)):
            expected = np.mean(columns[f"{name}_seed0"][rows] == group.label)
            assert accuracy == pytest.approx(expected), name
        assert group.low <= group.accuracy <= group.high


def test_without_attributes_the_card_has_accuracies_of_classes(digits_run):
    head = select_head(digits_run / "run", "cfr", 0)
    assert "| class | attribute | images |" in describe_groups(head)
    metrics = deepcopy(head.run.metrics)
    for seed in metrics["methods"]["cfr"]["seeds"]:
        for each in seed["by_selection"].values():
            for group in each["test"]["groups"]:
                group["attribute"] = "any"
    text = describe_groups(replace(head, run=replace(head.run, metrics=metrics)))
    assert "| class | images | zero-shot | this head | 95 % interval |" in text
    assert ", worst class " in text
    assert not any(word in text for word in ("any", "attribute", "group"))
    assert prompt_columns("class") == ("prompts", "average", "worst class", "agreement")


def test_prompts_are_measured_before_and_after(digits_run):
    cache = read_cache(digits_run / "digits.h5")
    head = read_run(digits_run / "run").heads["cfr-seed0"]
    found = measure_prompts(cache, cache.texts, head, too_long)
    assert [each.prompts for each in found] == [
        "all class prompts, their mean (as in the run)",
        "one class prompt alone, lowest of 10",
        "one class prompt alone, median of 10",
        "one class prompt alone, highest of 10",
        "the attribute instead of the class",
    ]
    rows = cache.rows.splits == 2
    labels, features = cache.rows.labels[rows], cache.features[rows]
    own = read_run(digits_run / "run").heads["zeroshot-seed0"]
    assert found[0].average == np.mean(apply_head(head, features).argmax(1) == labels)
    assert found[0].average_before == np.mean(apply_head(own, features).argmax(1) == labels)
    assert found[0].agreement == 1
    prompts = cache.texts.class_prompt_embeddings
    alone = [
        np.mean(
            apply_head({**head, "class_embeddings": prompts[[k, 10 + k]]}, features).argmax(1)
            == labels
        )
        for k in range(10)
    ]
    assert [each.average for each in found[1:4]] == [min(alone), sorted(alone)[5], max(alone)]
    attributes = {**head, "class_embeddings": cache.texts.attribute_embeddings}
    expected = np.mean(apply_head(attributes, features).argmax(1) == cache.rows.attributes[rows])
    assert (found[-1].average, found[-1].worst_group) == (expected, None)


def test_the_prompt_set_of_the_run_is_measured_first(digits_run):
    cache = read_cache(digits_run / "digits.h5")
    embeddings = cache.texts.class_prompt_embeddings[[2, 12]]
    names = cache.texts.class_names
    others = OtherPrompts(names, ("name", "name"), np.arange(2, dtype=np.int32), embeddings)
    cache = replace(cache, texts=replace(cache.texts, other_prompts=others))
    texts = with_prompt_set(cache, "name").texts
    assert texts.class_prompts == tuple((name,) for name in names)
    np.testing.assert_allclose(texts.class_embeddings, embeddings, atol=1e-6)
    assert list(other_sets(cache, texts)) == ["prompt set `imagenet`, its mean"]
    assert list(other_sets(cache, cache.texts)) == ["prompt set `name`, its mean"]


def test_single_prompts_are_those_of_one_index(digits_run):
    cache = read_cache(digits_run / "digits.h5")
    found = single_prompts(cache.texts)
    assert len(found) == len(cache.texts.class_prompts[0]) == 10
    expected = cache.texts.class_prompt_embeddings[[3, 13]]
    np.testing.assert_array_equal(found["class prompt 3 alone"], expected)


def test_the_worst_group_is_the_lowest_mean():
    correct = np.array([True, True, False, True])
    assert worst_group(correct, np.array([0, 0, 3, 3])) == 0.5


def test_blocks_hold_all_rows_in_order():
    blocks = list(blocks_of(np.arange(10), num_logits=(1 << 24) // 4))
    assert [len(block) for block in blocks] == [4, 4, 2]
    np.testing.assert_array_equal(np.concatenate(blocks), np.arange(10))


def test_cells_cannot_break_the_table():
    assert markdown(["a"], [["x|y\nz"]]) == "| a |\n| --- |\n| x\\|y z |"
    assert change(0.5, 0.75) == "50.0 -> 75.0"
    assert change(None, None) == "-"


def test_the_settings_of_a_tuned_method_are_those_that_it_was_fitted_with():
    config = {"settings": {"lr": 1.0, "steps": 2}, "tuned_settings": {"cfr": {"lr": 3.0}}}
    assert method_settings(config, "cfr") == {"lr": 3.0, "steps": 2}
    assert method_settings(config, "erm") == {"lr": 1.0, "steps": 2}
    assert method_settings({"settings": {"lr": 1.0}}, "cfr") == {"lr": 1.0}
