"""Files on disk: atomic replacement, locks, the journal, plain rows, a safe sink for HDF5."""
