"""Colored MNIST, from the files of MNIST."""
