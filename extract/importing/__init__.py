"""Import of existing embeddings into a cache."""
