"""Dropout with cheap random bits."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt32

from clip_cfr.calibrate.core.embeddings import Embeddings

# 2^32 over the golden ratio: spreads consecutive counters over all 32-bit words.
GOLDEN = 0x9E3779B9


def dropout(key: Array, embeddings: Embeddings, rate: Float[Array, ""]) -> Embeddings:
    """Zero each entry with probability `rate` and divide the others by 1 - `rate`.

    The results no longer have unit length: their vectors hold the zeros, their inverse norms the
    factor. The key gives one seed, and a hash of the seed and the position decides on each entry:
    on a CPU, drawing JAX's random bits for every entry costs more than the rest of the loss.

    Args:
        rate: float32 scalar in [0, 1), may be traced; 0 changes nothing.
    """
    vectors, inverse_norms = embeddings
    counters = jax.lax.iota(jnp.uint32, vectors.size).reshape(vectors.shape)
    bits = hash_words(counters * jnp.uint32(GOLDEN) + jax.random.bits(key))
    kept = bits >= (rate * 2.0**32).astype(jnp.uint32)
    return Embeddings(jnp.where(kept, vectors, 0), inverse_norms / (1 - rate))


def hash_words(words: UInt32[Array, "*shape"]) -> UInt32[Array, "*shape"]:
    """Hash each 32-bit word so that each bit of the result depends on all bits of the word.

    References:
        MurmurHash3's 32-bit finaliser (Appleby, public domain).
    """
    words = (words ^ (words >> 16)) * jnp.uint32(0x85EBCA6B)
    words = (words ^ (words >> 13)) * jnp.uint32(0xC2B2AE35)
    return words ^ (words >> 16)
