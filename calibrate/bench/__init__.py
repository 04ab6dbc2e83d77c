"""How fast this machine trains, next to its own matrix product and to loops in PyTorch."""
