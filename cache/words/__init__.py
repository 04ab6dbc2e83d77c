"""Words with their text embeddings: from a words file (see WORDS.md) or from a cache."""
