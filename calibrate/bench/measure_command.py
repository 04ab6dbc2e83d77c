"""Runs a command, and writes its seconds and its peak memory to a file as JSON.

python calibrate/bench/measure_command.py FILE COMMAND...

A small process between the benchmark and the command: Linux counts what the starting process holds
in the peak of the one that it starts.
"""

import json
import resource
import subprocess
import sys
from pathlib import Path
from time import perf_counter

MEGA = 1e6
# What the system counts peak memory in.
UNIT = 1 if sys.platform == "darwin" else 1024


def main() -> int:
    """The exit code of the command."""
    file, *command = sys.argv[1:]
    start = perf_counter()
    code = subprocess.call(command)
    took = perf_counter() - start
    rss = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * UNIT / MEGA
    Path(file).write_text(json.dumps({"seconds": took, "rss_mb": rss}))
    return code


if __name__ == "__main__":
    sys.exit(main())
