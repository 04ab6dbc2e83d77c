"""The cache format in memory: schema, HDF5 layout, encoding, invariants (see FORMAT.md)."""
