"""The manifest: one row for each image, and the selection of rows."""
