"""The device that JAX computes on, and the seconds that it compiles."""

from time import perf_counter

import jax
import jax.numpy as jnp
import pytest

from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.runtime.jax_setup import (
    COMPILE_EVENTS,
    Stopwatch,
    compile_seconds,
    use_device,
)


@pytest.fixture(autouse=True)
def same_device():
    before = jax.config.jax_default_device
    yield
    jax.config.update("jax_default_device", before)


def test_takes_what_jax_has():
    assert use_device("auto") == jax.default_backend()
    assert use_device("cpu") == "cpu"
    assert jnp.zeros(1).device.platform == "cpu"


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="there is a device to find")
def test_a_device_that_is_not_there_is_named():
    with pytest.raises(CalibrationError) as error:
        use_device("gpu")
    assert str(error.value) == (
        "--device gpu: JAX finds no such device, only cpu; leave the option out, "
        "or install JAX for it"
    )


def test_compiling_is_counted_and_running_is_not():
    function = jax.jit(lambda x: x * 3 + 1)
    with compile_seconds() as first:
        function(jnp.ones(5))
    with compile_seconds() as second:
        function(jnp.ones(5))
    assert first.seconds > 0
    assert second.seconds < first.seconds


def test_a_program_within_another_is_counted_once():
    inner = jax.jit(lambda x: jax.lax.fori_loop(0, 3, lambda _, y: jnp.sin(y), x))
    outer = jax.jit(lambda x: inner(x) + inner(2 * x))
    with compile_seconds() as watch:
        before = perf_counter()
        outer(jnp.ones(7))
        wall = perf_counter() - before
    nested = sum(end - start for start, end in watch.spans)
    assert 0 < watch.seconds <= min(wall, nested)


@pytest.mark.parametrize(
    ("spans", "seconds"),
    [
        ([], 0),
        ([(1, 2), (3, 5)], 3),
        ([(2, 3), (4, 5), (1, 6)], 5),
        ([(1, 3), (2, 4)], 3),
    ],
    ids=["none", "apart", "nested", "side by side"],
)
def test_seconds_are_those_that_the_spans_cover(spans, seconds):
    watch = Stopwatch()
    for span in spans:
        watch.listen(COMPILE_EVENTS[0], *span, fun_name="train")
        watch.listen("/jax/checkpoint/write", *span)
    assert watch.seconds == seconds
