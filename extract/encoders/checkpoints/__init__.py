"""Weights files of any library: recognise them, read them without executing code, name them."""
