"""Commands as real processes that receive signals."""

import signal
import subprocess
import time

import pytest

from clip_cfr.cache.console import COMMAND_LINE
from clip_cfr.cache.write.writer import write_cache
from tests.cli.test_calibrate import make_cache
from tests.extraction_process import descendants, has_ended

PROGRAM = """
import signal, sys
from clip_cfr.cache.interrupts import exit_on_interrupt, run_program

class CrashesWhenDeleted:
    def __del__(self):
        signal.raise_signal(signal.SIGSEGV)

def main():
    with exit_on_interrupt("interrupted"):
        crashes = sys.modules["crashes"] = CrashesWhenDeleted()
        signal.raise_signal(signal.SIGINT)

run_program(main)
"""
DISCARDED = """
import signal, time
from clip_cfr.cache.interrupts import exit_on_interrupt, run_program

class InterruptedWhenDeleted:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

def main():
    with exit_on_interrupt("interrupted"):
        InterruptedWhenDeleted()
        time.sleep(60)
        print("ran to the end")

run_program(main)
"""


def start(*words) -> subprocess.Popen:
    return subprocess.Popen(
        [*COMMAND_LINE, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize("program", [PROGRAM, DISCARDED])
def test_ctrl_c_is_neither_lost_nor_a_crash(program):
    done = subprocess.run(
        [COMMAND_LINE[0], "-c", program], capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def test_ctrl_c_while_jax_compiles_does_not_crash(tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "compiled"))
    write_cache(tmp_path / "a.h5", make_cache())
    process = start("calibrate", "--cache", tmp_path / "a.h5", "--out", tmp_path / "run")
    for line in process.stderr:
        if line == "seed 0: cfr\n":
            break
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.startswith("interrupted; nothing was written")
    assert not (tmp_path / "run").exists()


def test_a_terminated_demo_leaves_no_process(tmp_path):
    process = start("demo", "--out", tmp_path)
    deadline = time.monotonic() + 30
    while not (children := descendants(process.pid)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert children
    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM
    assert all(has_ended(child) for child in children)
