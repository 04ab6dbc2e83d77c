import numpy as np
import pytest

from clip_cfr.extract.datasets.digits.handwritten import load_handwritten
from clip_cfr.extract.datasets.digits.rendering import COLOURS, jitter_ink, render_digit


def test_jitter_moves_the_ink_and_keeps_nearly_all_of_it():
    rng = np.random.RandomState(0)
    inks, _ = load_handwritten()
    for ink in inks[:50]:
        coverage = jitter_ink(rng, ink)
        assert coverage.shape == (32, 32)
        enlargement = coverage.sum() / ink.sum()
        assert 2.7**2 * 0.9 < enlargement < 3.5**2 * 1.1


@pytest.mark.parametrize("colour", COLOURS)
def test_the_most_saturated_pixel_has_about_the_colour(colour):
    inks, _ = load_handwritten()
    pixels = render_digit(np.random.RandomState(0), inks[0], colour).reshape(-1, 3).astype(int)
    most_saturated = pixels[np.argmax(np.ptp(pixels, axis=1))]
    distances = {name: np.linalg.norm(most_saturated - rgb) for name, rgb in COLOURS.items()}
    assert min(distances, key=distances.get) == colour
