"""Training of the tiny CLIP in tiny_clip/: captions of coloured digits, and the loop."""
