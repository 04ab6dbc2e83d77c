"""CelebA, from the lists of its authors or the metadata files of others."""
