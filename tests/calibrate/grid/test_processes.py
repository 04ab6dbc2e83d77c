"""Worker processes of a grid: whether they can start."""

import pytest

from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.grid import processes
from clip_cfr.calibrate.grid.processes import check_open_files


def test_too_few_open_files_are_reported_before_processes_start(monkeypatch):
    monkeypatch.setattr(processes, "free_descriptors", lambda: 15)
    check_open_files(1)
    with pytest.raises(CalibrationError) as error:
        check_open_files(2)
    assert str(error.value) == (
        "--workers 2 needs 16 more open files, and their limit leaves 15; raise it, for example "
        "with `ulimit -n 1024`, or give fewer --workers"
    )


def test_without_a_limit_any_number_of_processes_starts(monkeypatch):
    monkeypatch.setattr(processes, "free_descriptors", lambda: None)
    check_open_files(1000)
