"""Write a cache: at once, or batch by batch so that a killed job can resume."""
