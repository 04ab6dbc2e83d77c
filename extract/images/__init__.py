"""From image files to pixels: read, decode, preprocess, and load batches in worker processes."""
