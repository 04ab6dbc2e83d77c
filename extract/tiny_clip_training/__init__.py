"""How the tiny CLIP in tiny_clip/ was made: captions of coloured digits, and the training."""
