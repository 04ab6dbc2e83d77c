"""Building a cache from embeddings that already exist."""
