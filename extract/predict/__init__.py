"""Predict the classes of new images with a head of a run folder."""
