"""What the data sets share: lists, paths, splits, names, options."""
