"""A new method is one module and one line: the example in CONTRIBUTING.md works."""

import re
import sys
from pathlib import Path

import pytest

from clip_cfr.cache import write_cache
from clip_cfr.calibrate import calibrate_cache, methods
from clip_cfr.calibrate.comparison.formats import render
from clip_cfr.calibrate.grid.space import search_space
from clip_cfr.calibrate.progress import count_steps
from tests.calibrate.synthetic import cache_of, quick_settings

CONTRIBUTING = Path(__file__).parents[3] / "CONTRIBUTING.md"
NAME = "balanced-erm"
MODULE = f"{methods.__name__}.balanced_erm"


@pytest.fixture
def added(tmp_path, monkeypatch) -> None:
    """The line and the module of the example, as if they were in the package."""
    section = CONTRIBUTING.read_text(encoding="utf-8").partition("## Adding a method")[2]
    line, module = re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)[:2]
    [(name, title)] = re.findall(r'"(.+)": "(.+)",', line)
    (tmp_path / "balanced_erm.py").write_text(module, encoding="utf-8")
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(tmp_path)])
    monkeypatch.setitem(methods.METHOD_TITLES, name, title)
    yield
    sys.modules.pop(MODULE, None)
    vars(methods).pop("balanced_erm", None)


def test_the_documented_example_appears_in_the_table(added, task, tmp_path):
    write_cache(tmp_path / "cache.h5", cache_of(task))
    settings = quick_settings()
    result = calibrate_cache(tmp_path / "cache.h5", settings, methods=("zeroshot", NAME))
    assert result.failures == {}
    assert "| balanced ERM |" in render(result, "markdown")
    assert count_steps(settings, [NAME], 1) == {NAME: settings.erm_steps}
    assert list(search_space(NAME)) == ["erm_lr", "weight_decay", "dropout"]
