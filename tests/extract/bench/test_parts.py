"""Parts of the benchmark; no test asserts a speed."""

import sys

import numpy as np
import pytest

from clip_cfr.extract.bench.baseline import row_cosines
from clip_cfr.extract.bench.processes import run_command
from clip_cfr.extract.bench.run import NO_GPU, explain_missing
from clip_cfr.extract.bench.synthetic_images import NUM_DISTINCT, save_images
from clip_cfr.extract.bench.throughput import gemm_fraction, pipeline_efficiency
from clip_cfr.extract.errors import ExtractError

USE_MEMORY = "import json; x = bytearray({} << 20); x[::4096] = x[::4096]; print(json.dumps(1))"


def test_efficiency_is_a_ratio_of_means():
    repeats = [{"a": 8.0, "encoder a": 10.0}, {"a": 10.0, "encoder a": 10.0}]
    assert pipeline_efficiency(repeats, "a") == pytest.approx(0.9)


def test_peak_memory_is_that_of_the_process():
    slow = "; import time; time.sleep(0.2)"
    commands = [[sys.executable, "-c", USE_MEMORY.format(mb) + slow] for mb in (1, 200)]
    few, many = map(run_command, commands)
    assert many.output == 1
    assert many.memory_mb - few.memory_mb == pytest.approx(199 * 1.048576, rel=0.05)
    assert many.all_memory_mb == many.memory_mb


def test_output_beyond_the_buffer_of_a_pipe_is_read():
    # The alarm ends a process that blocks.
    write = "sys.stderr.write('x' * (1 << 20)); print(list(range(1 << 16)))"
    program = f"import signal, sys; signal.alarm(30); {write}"
    assert run_command([sys.executable, "-c", program]).output == [*range(1 << 16)]


def test_a_failing_command_is_an_error_with_its_last_line():
    words = [sys.executable, "-c", "raise SystemExit('no such data set')"]
    with pytest.raises(ExtractError) as caught:
        run_command(words)
    assert str(caught.value) == f"{' '.join(words)}: exit code 1: no such data set"


def test_images_are_hard_links_to_a_few_files(tmp_path):
    root = save_images(tmp_path / "images", (20, 10), NUM_DISTINCT + 2)
    files = {path.stat().st_ino for path in root.glob("*.jpg")}
    assert len(files) == NUM_DISTINCT
    assert len((root / "metadata.csv").read_text().splitlines()) == NUM_DISTINCT + 3


def test_cosines_are_those_of_pairs_of_rows():
    one, other = np.eye(2), np.array([[2.0, 0.0], [1.0, 1.0]])
    np.testing.assert_allclose(row_cosines(one, other), [1, 0.5**0.5])


def test_a_missing_figure_has_a_reason():
    assert explain_missing("gpu_images_per_second", None) == NO_GPU
    assert explain_missing("speedup_vs_transformers_loop", "it differs") == "it differs"


def test_the_gemm_fraction_is_that_of_all_encoder_rates():
    repeats = [
        {"product": 1e9, "encoder a": 20, "encoder b": 40, "a": 1},
        {"product": 3e9, "encoder a": 30, "encoder b": 30, "a": 1},
    ]
    assert gemm_fraction(repeats, flops=4e7) == pytest.approx(30 * 4e7 / 2e9)
