"""The device that JAX computes on, and the seconds that it compiles."""

import jax
import jax.numpy as jnp
import pytest

from calibrate.errors import CalibrationError
from calibrate.runtime import compile_seconds, use_device


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
