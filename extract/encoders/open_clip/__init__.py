"""Models of open_clip; nothing here imports that library before a model is loaded."""
