"""Coloured handwritten digits, rendered from the digits of scikit-learn."""
