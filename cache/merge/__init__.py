"""Merge the shards of a data set into one cache."""
