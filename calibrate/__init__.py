"""Trains and evaluates heads on cached features: numpy arrays in, numpy arrays out, JAX inside."""
