"""Too little memory, told as Python tells it."""

import jax
import jax.numpy as jnp
import pytest

from clip_cfr.calibrate.core.memory import convert_memory_errors


def test_what_xla_cannot_allocate_is_a_memory_error():
    with (
        pytest.raises(MemoryError, match=r"^Out of memory allocating \d+ bytes"),
        convert_memory_errors(),
    ):
        jnp.zeros(1 << 50, jnp.uint8).block_until_ready()


def test_other_errors_of_xla_stay_what_they_are():
    with pytest.raises(jax.errors.JaxRuntimeError, match="INVALID"), convert_memory_errors():
        raise jax.errors.JaxRuntimeError("INVALID_ARGUMENT: something else")
