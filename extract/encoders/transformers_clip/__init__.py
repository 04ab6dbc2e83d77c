"""CLIP models of transformers."""
