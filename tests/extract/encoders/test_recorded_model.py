"""The names under which recorded models are loaded."""

from pathlib import Path

import pytest

from clip_cfr.extract.encoders.hub_errors import NAME_ANOTHER, REMEDY
from clip_cfr.extract.encoders.recorded_model import find_recorded_model
from clip_cfr.extract.encoders.spec import TINY_CLIP
from clip_cfr.extract.errors import ExtractError


def find(owner, model: str, revision: str | None = None) -> tuple[str, str | None]:
    return find_recorded_model(owner, {"model": model, "revision": revision})


def test_a_local_model_is_found_above_the_run(tmp_path):
    run = tmp_path / "runs" / "x"
    for folder in (run, tmp_path / "models" / "clip"):
        folder.mkdir(parents=True)
    (tmp_path / "tower.pt").touch()
    assert find(run, "models/clip") == (f"{tmp_path}/models/clip", None)
    assert find(run, "open-clip:models/clip") == (f"open-clip:{tmp_path}/models/clip", None)
    assert find(run, "open-clip:RN50/tower.pt") == (f"open-clip:RN50/{tmp_path}/tower.pt", None)


def test_names_that_are_no_paths_stay(tmp_path, monkeypatch):
    (tmp_path / "org" / "clip").mkdir(parents=True)
    (tmp_path / "openai").mkdir()
    assert find(tmp_path, "org/clip", "0a1b") == ("org/clip", "0a1b")
    assert find(tmp_path, "open-clip:hf-hub:org/clip", "0a1b") == (
        "open-clip:hf-hub:org/clip",
        None,
    )
    assert find(tmp_path, "open-clip:RN50/openai") == ("open-clip:RN50/openai", None)
    monkeypatch.chdir(tmp_path)  # The loader takes a local folder of the same name first.
    assert find(tmp_path, "org/clip", "0a1b") == ("org/clip", None)


@pytest.mark.parametrize("recorded", ["extract/tiny_clip", "/gone/checkout/extract/tiny_clip"])
def test_the_tiny_clip_of_another_checkout_is_that_of_the_package(tmp_path, monkeypatch, recorded):
    monkeypatch.chdir(tmp_path)
    assert find(tmp_path, recorded) == (str(TINY_CLIP), None)


def test_the_model_that_messages_suggest_is_there(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for text in (NAME_ANOTHER, REMEDY):
        suggested = text.partition("the embedded ")[2].partition(",")[0]
        assert (Path(suggested) / "config.json").is_file(), text


def test_a_model_that_is_gone(tmp_path):
    with pytest.raises(ExtractError) as error:
        find(tmp_path / "a.h5", "open-clip:/gone/clip")
    assert str(error.value) == (
        f"{tmp_path}/a.h5: the model open-clip:/gone/clip, a local folder or file, is not there "
        f"(looked in the working directory and in the folders above {tmp_path}/a.h5); name it with "
        "--model"
    )
