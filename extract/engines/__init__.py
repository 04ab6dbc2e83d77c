"""Where an extraction runs: this machine, or a Ray cluster."""
