"""Image encoders: the interface, loading, compute settings, and the supported libraries."""
