"""Files on disk: atomic replacement and locks, the HDF5 sink, flat rows."""
