"""The folders in which a recorded path is searched."""

from clip_cfr.cache.runs.recorded_path import find_recorded


def test_the_path_as_recorded_comes_first_then_the_inner_folders(tmp_path, monkeypatch):
    run = tmp_path / "work" / "runs" / "x"
    for base in (tmp_path, tmp_path / "work", run, tmp_path / "elsewhere"):
        (base / "models").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert [str(each) for each in find_recorded("models", run)] == [
        "models",
        f"{run}/models",
        f"{tmp_path}/work/models",
        f"{tmp_path}/models",
    ]
    absolute = str(tmp_path / "work" / "models")
    assert [str(each) for each in find_recorded(absolute, run)] == [absolute]
    assert list(find_recorded("models/gone", run, tmp_path)) == []
    assert list(find_recorded("x" * 300, run)) == []
