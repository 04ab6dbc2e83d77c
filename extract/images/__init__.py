"""From image files to pixels: decoding, preprocessing, worker processes."""
