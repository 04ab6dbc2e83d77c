"""The cache format: contents, HDF5 datasets, conversion, rules, shards (see FORMAT.md)."""
