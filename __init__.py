"""Group robustness for CLIP without group labels."""
