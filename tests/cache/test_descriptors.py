"""The limit of open files."""

import subprocess
import sys

import pytest

resource = pytest.importorskip("resource")

CODE = """
import os, resource, sys
from clip_cfr.cache.files.descriptors import free_descriptors, increase_file_limit
resource.setrlimit(resource.RLIMIT_NOFILE, (40, int(sys.argv[1])))
before = free_descriptors()
file = open(os.devnull)
after_one = free_descriptors()
increase_file_limit()
print(before - after_one, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@pytest.mark.parametrize(("hard", "raised"), [(100, 100), (40, 40)])
def test_free_files_are_counted_and_the_limit_is_raised(hard, raised):
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(hard)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["1", str(raised)]
