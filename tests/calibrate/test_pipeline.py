"""The Python API of the command calibrate: arguments that the command line cannot give."""

from pathlib import Path

import pytest

from clip_cfr.calibrate import calibrate_cache
from clip_cfr.calibrate.core.errors import SettingsError


@pytest.mark.parametrize("seeds", [0, -1, (), []])
def test_no_seed_is_an_error_before_the_cache_is_opened(tmp_path: Path, seeds):
    with pytest.raises(SettingsError) as error:
        calibrate_cache(tmp_path / "missing.h5", seeds=seeds)
    assert str(error.value) == "seeds is empty, expected at least one"
