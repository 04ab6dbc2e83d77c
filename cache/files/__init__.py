"""Files on disk: atomic replacement, locks, the journal, raw rows, a file object for HDF5."""
