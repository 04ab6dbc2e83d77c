"""Comparison of methods: fit and evaluate them, summarize, recommend a head, warn."""
