"""The device that JAX computes on, and the time that it spends compiling."""

from time import perf_counter

import jax
import jax.numpy as jnp
import pytest

from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.runtime.jax_setup import (
    COMPILE_EVENTS,
    CompileTimer,
    describe_missing_device,
    fixed_numerics,
    select_device,
    time_compilation,
)


@pytest.fixture(autouse=True)
def same_device():
    before = jax.config.jax_default_device
    yield
    jax.config.update("jax_default_device", before)


def test_a_device_that_exists_is_selected():
    assert select_device("auto") == jax.default_backend()
    assert select_device("cpu") == "cpu"
    assert jnp.zeros(1).device.platform == "cpu"


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="JAX has a GPU")
def test_a_missing_device_is_an_error():
    with pytest.raises(CalibrationError) as error:
        select_device("gpu")
    assert str(error.value) == (
        "--device gpu: JAX finds no such device, only cpu; leave the option out, "
        "or install JAX for it"
    )


def test_compiling_is_timed_and_running_is_not():
    function = jax.jit(lambda x: x * 3 + 1)
    with time_compilation() as first:
        function(jnp.ones(5))
    with time_compilation() as second:
        function(jnp.ones(5))
    assert first.seconds > 0
    assert second.seconds < first.seconds


def test_a_program_inside_another_is_timed_once():
    inner = jax.jit(lambda x: jax.lax.fori_loop(0, 3, lambda _, y: jnp.sin(y), x))
    outer = jax.jit(lambda x: inner(x) + inner(2 * x))
    with time_compilation() as timer:
        before = perf_counter()
        outer(jnp.ones(7))
        wall = perf_counter() - before
    nested = sum(end - start for start, end in timer.spans)
    assert 0 < timer.seconds <= min(wall, nested)


@pytest.mark.parametrize(
    ("spans", "seconds"),
    [
        ([], 0),
        ([(1, 2), (3, 5)], 3),
        ([(2, 3), (4, 5), (1, 6)], 5),
        ([(1, 3), (2, 4)], 3),
    ],
    ids=["none", "apart", "nested", "overlapping"],
)
def test_overlapping_spans_count_once(spans, seconds):
    timer = CompileTimer()
    for span in spans:
        timer.record(COMPILE_EVENTS[0], *span, fun_name="train")
        timer.record("/jax/checkpoint/write", *span)
    assert timer.seconds == seconds


def test_settings_that_change_results_are_fixed_in_the_block_only():
    jax.config.update("jax_enable_x64", True)
    try:
        with fixed_numerics():
            assert jnp.ones(1).dtype == jnp.float32
        assert jnp.ones(1).dtype == jnp.float64
    finally:
        jax.config.update("jax_enable_x64", False)


def test_a_device_that_jax_platforms_excludes_is_an_error():
    assert describe_missing_device("gpu", "cpu", RuntimeError("Unknown backend: 'gpu'\n...")) == (
        "--device gpu: JAX finds no such device among JAX_PLATFORMS=cpu (Unknown backend: 'gpu'); "
        "unset JAX_PLATFORMS, or set it to cpu"
    )
    assert describe_missing_device("auto", "cuda", AssertionError()) == (
        "--device auto: JAX finds no such device among JAX_PLATFORMS=cuda; unset JAX_PLATFORMS, "
        "or set it to cpu"
    )
    assert describe_missing_device("auto", None, RuntimeError("no platform 'x'")) == (
        "JAX finds no device: no platform 'x'; unset JAX_PLATFORM_NAME, or set it to cpu"
    )
