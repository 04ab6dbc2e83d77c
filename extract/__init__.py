"""Turns a data set on disk into a feature cache. The only place that knows torch and images."""
