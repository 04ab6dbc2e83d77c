"""Prompt templates, prompts of classes and attributes, and their text embeddings."""
