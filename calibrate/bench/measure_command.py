"""Run a command, and write its duration, CPU time and peak memory to a file as JSON.

python calibrate/bench/measure_command.py FILE COMMAND...

This small process starts the command on behalf of the benchmark, because Linux includes the memory
of the parent process in the peak of a child. The file then holds
{"seconds": 1.2, "cpu_seconds": 1.1, "rss_mb": 340.5}, with 1 MB = 10^6 bytes.
"""

import json
import resource
import subprocess
import sys
from pathlib import Path
from time import perf_counter

MEGA = 1e6
# Unit of `ru_maxrss` in bytes.
UNIT = 1 if sys.platform == "darwin" else 1024


def main() -> int:
    """Run the command of the arguments, write the measurements, and return its exit code."""
    file, *command = sys.argv[1:]
    start = perf_counter()
    code = subprocess.call(command)
    duration = perf_counter() - start
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    measured = {
        "seconds": duration,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "rss_mb": usage.ru_maxrss * UNIT / MEGA,
    }
    Path(file).write_text(json.dumps(measured))
    return code


if __name__ == "__main__":
    sys.exit(main())
