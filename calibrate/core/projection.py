"""The projection of features, the large matrix product of a training step."""

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Precision = Literal["float32", "bfloat16"]


def project(
    weight: Float[Array, "embedding dim"],
    features: Float[Array, "rows dim"],
    precision: Precision = "float32",
) -> Float[Array, "embedding rows"]:
    """Return the projections of features, one in each column, in float32.

    With `bfloat16`, the features and the gradient of the projections are rounded to bfloat16, the
    weight to 16 significant bits, and products are summed in float32. No gradient reaches the
    features.
    """
    return weight @ features.T if precision == "float32" else project_rounded(weight, features)


@jax.custom_vjp
def project_rounded(
    weight: Float[Array, "embedding dim"], features: Float[Array, "rows dim"]
) -> Float[Array, "embedding rows"]:
    """Return `weight @ features.T` with rounded operands and a float32 result.

    The weight is the sum of two bfloat16 parts. A single one hides small steps of training from the
    loss: on 96 features of a small CLIP, average accuracy fell by 0.8 points.
    """
    high = weight.astype(jnp.bfloat16)
    low = weight - high.astype(jnp.float32)
    return contract_rounded(high, features, axis=1) + contract_rounded(low, features, axis=1)


def project_forward(
    weight: Float[Array, "embedding dim"], features: Float[Array, "rows dim"]
) -> tuple[Float[Array, "embedding rows"], Float[Array, "rows dim"]]:
    """Return the product, and the features for its gradient."""
    return project_rounded(weight, features), features


def project_backward(
    features: Float[Array, "rows dim"], gradient: Float[Array, "embedding rows"]
) -> tuple[Float[Array, "embedding dim"], None]:
    """Return the gradient of the weight, and none of the features."""
    return contract_rounded(gradient, features, axis=0), None


project_rounded.defvjp(project_forward, project_backward)


def contract_rounded(
    left: Float[Array, "m k"], right: Float[Array, "rows dim"], *, axis: int
) -> Float[Array, "m n"]:
    """Multiply matrices rounded to bfloat16, and sum the products in float32; returns float32.

    XLA uses a CPU's bfloat16 instructions only if the contraction runs over the last axis of the
    left operand, and only for a single `dot_general`: it converts a transposed operand to float32.

    Args:
        axis: axis of `right` that is contracted with the last one of `left`; the other one is the
            second axis of the result.
    """
    operands = (each.astype(jnp.bfloat16) for each in (left, right))
    contracted = (((1,), (axis,)), ((), ()))
    return jax.lax.dot_general(*operands, contracted, preferred_element_type=jnp.float32)
