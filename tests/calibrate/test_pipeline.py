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


@pytest.mark.parametrize(("versus", "remedy"), [("dfr", "; add --method dfr"), ("resnet", "")])
def test_a_method_to_compare_with_must_be_fitted(tmp_path: Path, versus, remedy):
    with pytest.raises(SettingsError) as error:
        calibrate_cache(tmp_path / "missing.h5", methods=("erm", "cfr"), versus=versus)
    assert str(error.value) == (
        f"--versus {versus}: expected one of the methods to compare, which are erm, cfr{remedy}"
    )
