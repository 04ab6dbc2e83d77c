"""FLOPs of image towers against published values, and of calibration by hand."""

import pytest

from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.studies.cost.flops import (
    TOWERS,
    VisionTransformer,
    calibration_flops,
    forward_macs,
    paper_cost,
    trained_rows,
)

# In 10^9 MACs for an image.
KNOWN = {"ViT-B/32": 4.4, "ViT-L/14": 81, "ViT-L/14@336": 191}


@pytest.mark.parametrize("tower", TOWERS, ids=lambda tower: tower.name)
def test_macs_are_the_known_ones(tower):
    assert forward_macs(tower) / 1e9 == pytest.approx(KNOWN[tower.name], rel=0.005)


def test_macs_of_one_small_tower_by_hand():
    """Four patches and a class token of width 2, with a hidden layer of 3 and embeddings of 5."""
    tower = VisionTransformer("small", 4, 2, 2, 1, 3, 5)
    assert forward_macs(tower) == 4 * 12 * 2 + (4 * 5 * 4 + 2 * 25 * 2) + 2 * 5 * 2 * 3 + 2 * 5


def test_rows_of_all_steps():
    settings = Settings(
        identification_steps=1, erm_steps=2, steps=10, batch_size=8, calibration_batch_size=4
    )
    assert trained_rows(settings) == 3 * 8 + 10 * 12
    pool = Settings(
        identification_steps=1,
        erm_steps=2,
        steps=10,
        batch_size=8,
        calibration_batch_size=4,
        num_negatives=4,
        negative_pool=16,
    )
    assert trained_rows(pool) == 3 * 8 + 10 * (12 + 16)


def test_the_ratio_is_of_the_sums():
    tower, settings = TOWERS[0], Settings()
    found = paper_cost(tower, 1000, 10, settings)
    forward = 2 * forward_macs(tower)
    assert found.forward == forward
    assert found.calibration == calibration_flops(tower, settings) > 0
    expected = 30_000 * forward / (1000 * forward + found.calibration)
    assert found.ratio == pytest.approx(expected)
    assert paper_cost(tower, 10**9, 10, settings).ratio == pytest.approx(30, rel=1e-3)
