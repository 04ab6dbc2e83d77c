"""Weights files of any library: recognize them, read them without executing code, name them."""
