"""The choice of the precision by the features of the processor."""

import pytest

from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.runtime import precision
from clip_cfr.calibrate.runtime.precision import resolve_precision

XEON = "processor\t: 0\nflags\t\t: fpu avx512f amx_bf16 amx_tile\nprocessor\t: 1\nflags\t\t: fpu\n"
ZEN = "flags\t\t: fpu avx512_bf16\n"
OLD = "flags\t\t: fpu avx2 avx512f\n"
ARM = "Features\t: fp asimd bf16\n"


@pytest.fixture
def resolve(tmp_path, monkeypatch):
    """Return the precision that `auto` becomes with the given /proc/cpuinfo; None: no file."""

    def resolve(text, **settings):
        path = tmp_path / "cpuinfo"
        if text is not None:
            path.write_text(text)
        monkeypatch.setattr(precision, "CPU_INFO", path)
        precision.read_processor_flags.cache_clear()
        return resolve_precision(Settings(**settings)).precision

    yield resolve
    precision.read_processor_flags.cache_clear()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (XEON, "bfloat16"),
        (ZEN, "bfloat16"),
        (OLD, "float32"),
        (ARM, "float32"),
        ("", "float32"),
        (None, "float32"),
    ],
)
def test_auto_follows_the_processor(resolve, text, expected):
    assert resolve(text) == expected


@pytest.mark.parametrize("given", ["float32", "bfloat16"])
@pytest.mark.parametrize("text", [XEON, OLD])
def test_a_given_precision_is_kept(resolve, text, given):
    assert resolve(text, precision=given) == given
