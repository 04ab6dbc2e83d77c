"""Embeddings of unit length, which are never divided by their lengths."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


class Embeddings(NamedTuple):
    """Embeddings as vectors of any length, with the factor that gives each of them length 1.

    What a loss reads of an embedding are products with it, and a factor can go onto the product:
    then nothing passes over all entries of the vectors to scale them, nor back over those of their
    gradient.

    Attributes:
        vectors: projections as they come.
        factors: inverse lengths; 0 for a zero vector, which so stays zero, with a zero gradient.
    """

    vectors: Float[Array, "rows embedding"]
    factors: Float[Array, " rows"]

    @property
    def unit(self) -> Float[Array, "rows embedding"]:
        """The embeddings themselves."""
        return self.vectors * self.factors[:, None]

    def products(self, others: Float[Array, "others embedding"]) -> Float[Array, "rows others"]:
        """Scalar products of the embeddings with other vectors: cosines if those have length 1."""
        return self.vectors @ others.T * self.factors[:, None]

    def cosines(self, others: "Embeddings") -> Float[Array, "rows others"]:
        """Cosines of the embeddings with others."""
        return self.products(others.vectors) * others.factors[None, :]

    def sums(self, weights: Float[Array, "rows sums"]) -> Float[Array, "sums embedding"]:
        """Weighted sums of the embeddings."""
        return (weights * self.factors[:, None]).T @ self.vectors


def of_unit_length(vectors: Float[Array, "rows embedding"]) -> Embeddings:
    """The embeddings that have the directions of the vectors."""
    squares = jnp.sum(vectors**2, axis=1)
    # Infinity has the inverse root 0, with a gradient of 0; a floor would have one of 1e12.
    return Embeddings(vectors, jax.lax.rsqrt(jnp.where(squares > 1e-24, squares, jnp.inf)))
