"""Models of open_clip. The library is imported only when a model is loaded."""
