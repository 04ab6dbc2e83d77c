"""A CLIP that transformers loads: its files, its parts, and arrays in and out of it."""
