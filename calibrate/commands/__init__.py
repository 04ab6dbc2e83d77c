"""The commands on cached features: calibrate, grid, bench train, demo."""
