"""Prompt templates, and the text embeddings of classes and attributes."""
