"""Fixtures that several packages' tests use."""
