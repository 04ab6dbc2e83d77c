"""All that lies on disk: feature caches (FORMAT.md) and run folders. Only here is HDF5 known."""
