"""Attributes named in words: from phrases, over text embeddings, to a value of each row."""
