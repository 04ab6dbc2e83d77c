"""Embeddings of unit length, without a division of every entry by the norm."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


class Embeddings(NamedTuple):
    """Unit-length embeddings, stored as unscaled vectors and their inverse norms.

    Losses read embeddings through inner products, and an inverse norm can scale a product instead
    of the vector. This saves a pass over all entries of the vectors, and one over their gradient.

    Attributes:
        vectors: projections of any length, one in each column: the gradient of the projection then
            contracts over their last axis, the only one for which XLA has a fast bfloat16 product.
        inverse_norms: 0 for a zero vector, which therefore stays zero, with a zero gradient.
    """

    vectors: Float[Array, "embedding rows"]
    inverse_norms: Float[Array, " rows"]

    @property
    def unit(self) -> Float[Array, "rows embedding"]:
        """The embeddings as unit-length vectors, one in each row."""
        return (self.vectors * self.inverse_norms[None, :]).T

    def dot(self, others: Float[Array, "others embedding"]) -> Float[Array, "rows others"]:
        """Return the inner product of each embedding with each row of `others`.

        These are cosine similarities if the rows of `others` have unit length.
        """
        return (others @ self.vectors * self.inverse_norms[None, :]).T

    def cosines(self, others: "Embeddings") -> Float[Array, "rows others"]:
        """Return the cosine similarity of each embedding with each of `others`; 0 for zeros."""
        return self.dot(others.vectors.T) * others.inverse_norms[None, :]

    def weighted_sums(self, weights: Float[Array, "rows sums"]) -> Float[Array, "embedding sums"]:
        """Return the weighted sum of the unit-length embeddings for each column of weights.

        Column j of the result is the sum over rows i of `weights[i, j]` times embedding i.
        """
        return self.vectors @ (weights * self.inverse_norms[:, None])


def normalize(vectors: Float[Array, "embedding rows"]) -> Embeddings:
    """Return unit-length embeddings in the directions of the columns of `vectors`.

    A column of norm up to 1e-12 counts as zero: its inverse norm is 0, with gradient 0.
    """
    squares = jnp.sum(vectors**2, axis=0)
    # The inverse root of infinity is 0, with gradient 0; a floor would have a gradient of 1e12.
    return Embeddings(vectors, jax.lax.rsqrt(jnp.where(squares > 1e-24, squares, jnp.inf)))
