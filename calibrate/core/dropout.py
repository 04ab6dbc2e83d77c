"""Dropout whose random bits cost next to nothing."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt32

from clip_cfr.calibrate.core.embeddings import Embeddings

GOLDEN = 0x9E3779B9  # 2^32 over the golden ratio: neighbouring counters land far apart


def dropout(key: Array, embeddings: Embeddings, rate: Float[Array, ""]) -> Embeddings:
    """Embeddings with a share `rate` of their entries zero and the others scaled up;
    their length is no longer 1.

    The key gives one seed, and a hash of seed and place decides about each entry: on a CPU,
    JAX's own bits for every entry cost more than all of the loss.
    """
    vectors, factors = embeddings
    places = jax.lax.iota(jnp.uint32, vectors.size).reshape(vectors.shape)
    bits = mixed(places * jnp.uint32(GOLDEN) + jax.random.bits(key))
    kept = bits >= (rate * 2.0**32).astype(jnp.uint32)
    return Embeddings(jnp.where(kept, vectors, 0), factors / (1 - rate))


def mixed(words: UInt32[Array, "*shape"]) -> UInt32[Array, "*shape"]:
    """Words whose every bit depends on every bit of those given.

    References:
        MurmurHash3's 32-bit finaliser (Appleby, public domain).
    """
    words = (words ^ (words >> 16)) * jnp.uint32(0x85EBCA6B)
    words = (words ^ (words >> 13)) * jnp.uint32(0xC2B2AE35)
    return words ^ (words >> 16)
