"""The data sets: one module each, with `load(root, options) -> Manifest`."""
