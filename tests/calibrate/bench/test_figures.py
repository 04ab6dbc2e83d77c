"""Repeats, medians of ratios, and the figures; no test asserts a speed."""

import pytest

from clip_cfr.calibrate.bench.figures import pytorch_figures, training_figures
from clip_cfr.calibrate.bench.sizes import FULL
from clip_cfr.calibrate.bench.timing import measure_interleaved, median_of, median_ratio, time_call
from clip_cfr.calibrate.core.settings import Settings

PRODUCT_FLOPS = 2 * 4096 * 1024 * 768
STEP_FLOPS = 4 * (128 + 128 + 256) * 1024 * 768
SETTINGS = Settings(steps=400, evaluations=10, negative_pool=256)
# In each repeat the machine is half as fast as in the previous one.
REPEATS = [
    {
        "erm_step": 1e-3 * slow,
        "cfr_step": 6e-3 * slow,
        "cfr_step_product": 0.03 * slow,
        "loop_step": 5e-3 * slow,
        "loop_step_product": 0.01 * slow,
        "minibatch_step": 3e-3 * slow,
        "bfloat16_step": 2e-3 * slow,
        "bfloat16_step_product": 0.004 * slow,
        "bfloat16_minibatch_step": 1e-3 * slow,
        "evaluated_step": 5.49e-3 * slow,
        "pytorch_loop": 0.1 * slow,
    }
    for slow in (1, 2, 4)
]


def test_all_measures_run_once_per_repeat():
    order = []

    def measure(name):
        order.append(name)
        return {name: float(len(order))}

    repeats = measure_interleaved([lambda: measure("ours"), lambda: measure("theirs")], 2)
    assert order == ["ours", "theirs"] * 2
    assert repeats == [{"ours": 1, "theirs": 2}, {"ours": 3, "theirs": 4}]


def test_a_ratio_is_taken_within_a_repeat():
    repeats = [{"a": 1, "b": 2}, {"a": 30, "b": 10}, {"a": 8, "b": 8}]
    assert median_of(repeats, "a") == 8
    assert median_ratio(repeats, "a", "b") == 1


def test_one_call_is_timed():
    calls = []
    assert time_call(lambda: calls.append(1)) > 0
    assert calls == [1]


def test_fractions_do_not_depend_on_the_speed_of_the_machine():
    found = training_figures(FULL, SETTINGS, REPEATS)
    rate = PRODUCT_FLOPS / 0.01
    assert found["gemm_gflops"] == pytest.approx(rate / 2 / 1e9)
    assert found["bfloat16_gemm_gflops"] == pytest.approx(2.5 * rate / 2 / 1e9)
    assert found["gemm_fraction"] == pytest.approx(STEP_FLOPS / 5e-3 / rate)
    assert found["bfloat16_gemm_fraction"] == pytest.approx(STEP_FLOPS / 2e-3 / (2.5 * rate))
    assert found["gemm_fraction_stage"] == pytest.approx(STEP_FLOPS / 6e-3 / (rate / 3))
    assert found["minibatch_loop_step_ratio"] == pytest.approx(0.6)
    assert found["bfloat16_loop_step_ratio"] == pytest.approx(0.4)
    assert found["bfloat16_minibatch_loop_step_ratio"] == pytest.approx(0.2)
    assert found["cfr_step_seconds"] == 12e-3
    assert found["erm_step_seconds"] == 2e-3


def test_the_time_of_evaluations_is_separated_from_that_of_steps():
    """196 more evaluations take 0.196 s more, so one takes 1 ms, and a step 2 s - 4 ms over 400."""
    found = training_figures(FULL, SETTINGS, REPEATS)
    assert found["validation_fraction"] == pytest.approx(1e-3 / (40 * 1.996 / 400))


def test_pytorch_loops_are_compared_with_the_compiled_loop():
    assert pytorch_figures([], REPEATS) == {}
    found = pytorch_figures(["pytorch_loop"], REPEATS)
    assert found["pytorch_loop_step_seconds"] == 0.2
    assert found["speedup_vs_pytorch_loop"] == pytest.approx(20)
