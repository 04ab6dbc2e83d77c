"""Describe the misclassified images of a run in words and as slices."""
