"""Comparison of methods: fit and evaluate them, summarise, recommend a head, warn."""
