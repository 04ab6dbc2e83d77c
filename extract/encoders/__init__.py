"""Image encoders: the interface, loading, devices, and the supported libraries."""
