"""Coloured handwritten digits, the embedded data set."""
