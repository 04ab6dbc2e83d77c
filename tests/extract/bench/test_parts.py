"""What figures are computed from; no test asserts a speed."""

import sys

import numpy as np
import pytest

from clip_cfr.extract.bench.baseline import cosines
from clip_cfr.extract.bench.processes import run
from clip_cfr.extract.bench.run import NO_GPU, why_missing
from clip_cfr.extract.bench.synthetic_images import DISTINCT, save_pictures
from clip_cfr.extract.bench.throughput import efficiency
from clip_cfr.extract.errors import ExtractError

USE = "import json; x = bytearray({} << 20); x[::4096] = x[::4096]; print(json.dumps(1))"


def test_an_efficiency_is_mean_against_mean():
    turns = [{"a": 8.0, "encoder a": 10.0}, {"a": 10.0, "encoder a": 10.0}]
    assert efficiency(turns, "a") == pytest.approx(0.9)


def test_peak_memory_is_that_of_the_process_itself():
    slow = "; import time; time.sleep(0.2)"
    few, many = (run([sys.executable, "-c", USE.format(mb) + slow]) for mb in (1, 200))
    assert many.printed == 1
    assert many.memory_mb - few.memory_mb == pytest.approx(199 * 1.048576, rel=0.05)
    assert many.all_memory_mb == many.memory_mb


def test_a_command_that_fails_is_an_error_with_what_it_said():
    words = [sys.executable, "-c", "raise SystemExit('no such data set')"]
    with pytest.raises(ExtractError) as caught:
        run(words)
    assert str(caught.value) == f"{' '.join(words)}: exit code 1: no such data set"


def test_pictures_are_links_to_a_few_files(tmp_path):
    root = save_pictures(tmp_path / "pictures", (20, 10), DISTINCT + 2)
    files = {path.stat().st_ino for path in root.glob("*.jpg")}
    assert len(files) == DISTINCT
    assert len((root / "metadata.csv").read_text().splitlines()) == DISTINCT + 3


def test_features_are_compared_row_by_row():
    one, other = np.eye(2), np.array([[2.0, 0.0], [1.0, 1.0]])
    np.testing.assert_allclose(cosines(one, other), [1, 0.5**0.5])


def test_what_is_missing_has_a_reason():
    assert why_missing("gpu_images_per_second", {}) == NO_GPU
    assert why_missing("speedup_vs_transformers_loop", {"objection": "it differs"}) == "it differs"
