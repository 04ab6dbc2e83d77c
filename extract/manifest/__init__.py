"""The manifest: a table with one row for each image, and the selection of its rows."""
