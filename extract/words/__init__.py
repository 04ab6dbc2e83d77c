"""Vocabularies: lists of words, and their embeddings by the text tower of a model."""
