"""The machine: JAX setup and memory."""
