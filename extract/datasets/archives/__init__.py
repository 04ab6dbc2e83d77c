"""Data sets in archives: which files there are, and the splits that their names state."""
