"""The machine: JAX setup, memory, and how many rows of features fit in it."""
