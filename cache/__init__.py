"""All that lies on disk: feature caches (FORMAT.md) and run folders. The only place that knows HDF5."""
