"""A torch that cannot be imported."""

import importlib

import pytest

from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.import_torch import import_torch


def fail_with(monkeypatch, error: Exception) -> None:
    def raise_error(name):
        raise error

    monkeypatch.setattr(importlib, "import_module", raise_error)


def test_a_broken_torch_is_one_line(monkeypatch):
    fail_with(monkeypatch, OSError("libcudart.so.12: cannot open shared object file\nand more"))
    with pytest.raises(ExtractError) as error:
        import_torch()
    assert str(error.value) == (
        "torch cannot be imported (OSError: libcudart.so.12: cannot open shared object file); if a "
        "TORCH_ variable of the environment is set, unset it; otherwise install torch again"
    )


def test_a_missing_torch_is_an_extra(monkeypatch):
    fail_with(monkeypatch, ModuleNotFoundError("no torch", name="torch"))
    with pytest.raises(ModuleNotFoundError):
        import_torch()
