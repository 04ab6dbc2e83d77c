"""Code shared by the data sets: CSV tables, image paths, splits, options and overrides."""
