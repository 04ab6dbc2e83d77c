"""Locks on folders."""

import pytest

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.files.folder_lock import reserve_folder, use_folder


def test_a_folder_is_used_by_several_and_reserved_by_one(tmp_path):
    with use_folder(tmp_path), use_folder(tmp_path):
        with pytest.raises(CacheError) as error, reserve_folder(tmp_path, "in use"):
            pass
        assert str(error.value) == f"{tmp_path}: in use"
    with (
        reserve_folder(tmp_path, "in use"),
        pytest.raises(CacheError),
        reserve_folder(tmp_path, "in use"),
    ):
        pass
    with reserve_folder(tmp_path, "in use"):
        pass
    assert list(tmp_path.iterdir()) == []
