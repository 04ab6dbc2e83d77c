"""The commands that write caches: extract and import."""
