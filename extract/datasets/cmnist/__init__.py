"""Colored MNIST."""
