"""The training core: pure functions and dataclasses on arrays. No file, clock or terminal."""
