"""Settings that do not suit a task are refused before training, with what to change."""

from dataclasses import replace

import numpy as np
import pytest

from clip_cfr.calibrate.core.errors import CalibrationError, SettingsError
from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.prepared import prepare
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.methods import METHODS, cfr, checks
from clip_cfr.calibrate.methods.checks import check_task
from tests.calibrate.synthetic import make_task, quick_settings

GIB = 2**30


@pytest.fixture(autouse=True)
def memory(monkeypatch):
    """A machine with 16 GiB of memory."""
    monkeypatch.setattr(checks, "physical_memory", lambda: 16 * GIB)


def refusal(task, *methods, resident_rows=None, **changes) -> str:
    """Return the message of the refusal."""
    with pytest.raises(CalibrationError) as error:
        check_task(task, quick_settings(**changes), methods or ("cfr",), resident_rows)
    return str(error.value)


def test_the_defaults_suit_a_task(task, many_class_task):
    for each in (task, many_class_task):
        check_task(each, Settings(), METHODS)


def test_nothing_is_known_of_a_machine_that_does_not_report_its_memory(task, monkeypatch):
    monkeypatch.setattr(checks, "physical_memory", lambda: None)
    check_task(task, quick_settings(steps=10**8), ["cfr"])


class TestNumNegatives:
    @pytest.mark.parametrize(
        ("changes", "most", "option", "needed"),
        [
            ({"negative_pool": 256}, 128, "the 256 rows of negative_pool", "negative_pool to 402"),
            ({"negative_pool": 7}, 4, "the 7 rows of negative_pool", "negative_pool to 402"),
            (
                {"negative": "nns", "nns_pool": "64"},
                32,
                "the 64 rows of nns_pool",
                "nns_pool to 402",
            ),
            (
                {"negative": "nns", "nns_pool": "minibatch"},
                32,
                "the 32 rows of batch_size",
                "batch_size to 201",
            ),
        ],
    )
    def test_may_not_exceed_the_rows_of_other_classes_in_a_pool(
        self, task, changes, most, option, needed
    ):
        assert refusal(task, num_negatives=201, **changes) == (
            f"num_negatives is 201, expected at most {most}, the rows of other classes among "
            f"{option}; lower it, or raise {needed}"
        )
        check_task(task, quick_settings(num_negatives=most, **changes), ["cfr"])

    def test_may_not_exceed_the_rows_of_other_classes_of_the_task(self, task):
        most = int(np.bincount(task.labels[task.rows("train")]).max())
        changes = {"negative": "nns", "nns_pool": "all"}
        assert refusal(task, num_negatives=100_000, **changes) == (
            f"num_negatives is 100000, expected at most {most}, the training rows of other classes "
            "than an anchor's"
        )
        check_task(task, quick_settings(num_negatives=most, **changes), ["cfr"])

    def test_too_few_training_rows_for_the_default_are_a_fault_of_the_data(self, task):
        train = task.rows("train")
        kept = [row for label in (0, 1) for row in train[task.labels[train] == label][: 1 + label]]
        few = replace(
            task, valid=task.valid & ((task.splits > 0) | np.isin(range(len(task.labels)), kept))
        )
        with pytest.raises(CalibrationError) as error:
            check_task(few, Settings(), ["cfr"])
        assert not isinstance(error.value, SettingsError)
        assert str(error.value) == (
            "the training split has 3 rows, too few: expected at least 16 of other classes than an "
            "anchor's, found 2; train on more images, or lower --num-negatives to 2"
        )

    def test_the_pool_that_is_asked_for_is_large_enough(self, task, many_class_task):
        for each in (task, many_class_task):
            for wanted in (5, 13, 60, 101):
                changes = {"num_negatives": wanted, "negative_pool": 1}
                message = refusal(each, **changes)
                needed = int(message.rpartition(" ")[2])
                check_task(each, quick_settings(**{**changes, "negative_pool": needed}), ["cfr"])

    def test_of_other_methods_do_not_matter(self, task):
        check_task(task, quick_settings(num_negatives=10**6), ["zeroshot", "erm", "dfr"])


def test_the_minibatch_as_negative_pool_needs_no_size(task):
    check_task(task, quick_settings(negative_pool="minibatch", num_negatives=201), ["cfr"])


class TestNnsPool:
    def test_may_not_exceed_the_training_rows(self, task):
        changes = {"negative": "nns", "nns_pool": "1001"}
        assert refusal(task, **changes) == (
            "nns_pool is 1001, expected at most 1000, the training rows that are in memory; lower "
            "it, or use all"
        )
        assert "expected at most 460" in refusal(task, resident_rows=700, **changes)
        check_task(task, quick_settings(negative="nns", nns_pool="1000"), ["cfr"])

    def test_all_needs_all_rows_in_memory(self, task):
        changes = {"negative": "nns", "nns_pool": "all"}
        expected = (
            "nns_pool is 'all', which needs all rows in memory; expected minibatch or a number of "
            "rows if only some rows are in memory at a time (--hold-rows)"
        )
        assert refusal(task, resident_rows=700, **changes) == expected
        with pytest.raises(SettingsError) as error:
            cfr.fit(Experiment(prepare(task, 700), quick_settings(**changes), 0))
        assert str(error.value) == expected

    def test_does_not_matter_without_nns(self, task):
        check_task(task, quick_settings(nns_pool="1001"), ["cfr"], 700)


@pytest.mark.parametrize("method", ["erm", "cfr"])
def test_the_validation_split_and_four_batches_have_to_fit(task, method):
    assert refusal(task, method, resident_rows=367) == (
        "--hold-rows 367: expected at least 368, for the 240 rows of the validation split and "
        "four batches of training rows"
    )
    check_task(task, quick_settings(), [method], 368)


class TestStepMemory:
    def test_the_rows_of_all_steps_have_to_fit(self, task):
        assert refusal(task, steps=10**8) == (
            "steps is 100000000: drawing the rows of 100000000 steps needs about 326 GB of memory, "
            "and this machine has 17 GB; lower steps, calibration_batch_size, num_negatives or the "
            "pools"
        )
        assert refusal(task, "erm", erm_steps=10**8) == (
            "erm_steps is 100000000: drawing the rows of 100000000 steps needs about 26 GB of "
            "memory, and this machine has 17 GB; lower erm_steps or batch_size"
        )

    @pytest.mark.parametrize(
        ("method", "option", "gigabytes", "remedies"),
        [
            ("cfr-no-contrast", "steps", 45, ", calibration_batch_size or batch_size"),
            (
                "cfr-no-holistic",
                "steps",
                326,
                ", calibration_batch_size, num_negatives or the pools",
            ),
            ("error-set", "steps", 45, ", calibration_batch_size or batch_size"),
            ("jtt", "erm_steps", 26, " or batch_size"),
            ("group-dro", "erm_steps", 51, " or batch_size"),
            ("cnc", "steps", 51, " or batch_size"),
            ("cnc", "identification_steps", 26, " or batch_size"),
            ("erm-adapter", "steps", 26, " or batch_size"),
            ("contrastive-adapter", "steps", 45, ", calibration_batch_size or batch_size"),
        ],
    )
    def test_the_rows_of_every_method_have_to_fit(self, task, method, option, gigabytes, remedies):
        assert refusal(task, method, **{option: 10**8}) == (
            f"{option} is 100000000: drawing the rows of 100000000 steps needs about {gigabytes} "
            f"GB of memory, and this machine has 17 GB; lower {option}{remedies}"
        )

    @pytest.mark.parametrize("method", ["group-dro", "cnc", "erm-adapter", "contrastive-adapter"])
    def test_the_validation_split_and_four_batches_have_to_fit(self, task, method):
        assert refusal(task, method, resident_rows=300).startswith(
            "--hold-rows 300: expected at least 368"
        )

    @pytest.mark.parametrize("option", ["steps", "identification_steps"])
    def test_windows_draw_the_rows_of_fewer_steps(self, task, option):
        changes = {option: 10**8, "evaluations": 10**5}
        check_task(task, quick_settings(**changes), ["cfr"], 700)
        assert "drawing the rows of 100000000 steps" in refusal(
            task, resident_rows=700, **{**changes, "evaluations": 1}
        )

    @pytest.mark.parametrize("option", ["steps", "erm_steps"])
    def test_more_steps_than_can_be_counted_are_an_error_of_the_settings(self, option):
        with pytest.raises(SettingsError) as error:
            Settings(**{option: 99999999999999})
        assert str(error.value) == f"{option} is 99999999999999, expected at most 2147483647"

    @pytest.mark.parametrize(
        "changes",
        [
            {"positive": "dps", "negative": "rns"},
            {"positive": "rps", "negative": "nns", "nns_pool": "all"},
            {"positive": "rps", "negative": "nns", "nns_pool": "40"},
            {"positive": "dps", "negative": "nns", "nns_pool": "minibatch"},
        ],
        ids=lambda changes: "-".join(changes.values()),
    )
    def test_no_more_indices_are_counted_than_are_drawn(self, experiment, changes):
        settings = quick_settings(**changes)
        segment = next(cfr.make_segments(experiment.with_settings(settings)))
        batches = segment.stage.batches._replace(alpha=None)
        arrays = [batches.anchors, batches.training]
        for pool in (batches.positives, batches.negatives):
            arrays += [] if pool is None else [each for each in pool if each is not None]
        drawn = sum(array.size for array in arrays)
        assert 0.5 * drawn <= settings.steps * cfr.METHOD.stage.rows_per_step(settings) <= drawn


class TestDfr:
    """The messages are those of fitting, which the tests of DFR hold."""

    def test_needs_two_validation_rows_in_each_group(self):
        task = make_task()
        rows = np.flatnonzero((task.splits == 1) & (task.groups == 1))
        valid = task.valid.copy()
        valid[rows[1:]] = False
        assert refusal(replace(task, valid=valid), "dfr").startswith("dfr needs at least two")

    def test_ignores_empty_groups(self):
        check_task(make_task(agreement=(0.95, 1.0, 0.5)), quick_settings(), ["dfr"])
