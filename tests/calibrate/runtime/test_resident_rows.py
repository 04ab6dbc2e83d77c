"""How many rows are in memory at a time, for machines of several sizes."""

import pytest

from clip_cfr.calibrate.runtime import resident_rows
from clip_cfr.calibrate.runtime.memory import physical_memory
from clip_cfr.calibrate.runtime.resident_rows import choose_resident_rows

SHAPE = (1000, 512)  # of float16: 1 KiB each row
KIB = 1024


@pytest.fixture
def memory(monkeypatch):
    """Set the physical memory, in KiB."""

    def set_memory(size):
        monkeypatch.setattr(resident_rows, "physical_memory", lambda: size and size * KIB)

    return set_memory


@pytest.mark.parametrize(
    ("size", "expected"), [(2000, None), (1999, 499), (400, 100), (None, None)]
)
def test_all_rows_if_they_fit_in_half_of_the_memory_else_a_quarter(memory, size, expected):
    memory(size)
    assert choose_resident_rows(None, SHAPE, "float16") == expected


@pytest.mark.parametrize(("requested", "expected"), [(300, 300), (999, 999), (1000, None)])
def test_the_requested_rows_are_used_whatever_the_memory(memory, requested, expected):
    memory(10)
    assert choose_resident_rows(requested, SHAPE, "float16") == expected


def test_this_machine_reports_its_memory():
    memory = physical_memory()
    assert memory is None or memory > 2**26
