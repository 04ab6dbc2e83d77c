"""Benchmark of training, against a matrix product on this machine and loops in PyTorch."""
