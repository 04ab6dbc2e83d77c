"""Benchmark of extraction, against the encoder alone and against a loop over transformers."""
