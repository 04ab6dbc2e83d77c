"""Run the commands and the Python of the tutorial, and compare what they print with the page."""

import contextlib
import io
import re
import shlex
from collections.abc import Iterator
from itertools import pairwise

import pytest
from click.testing import CliRunner

from clip_cfr.cli import main
from tests.data_page import BLOCK

LEFT_OUT = "..."
# Measured: it may differ by `TOLERANCE` on another processor. A deviation is not compared.
MEASURED = re.compile(r"± \d+\.\d+|[+-]?\d+\.\d+")
TOLERANCE = {"rel": 0.1, "abs": 0.1}
# Depends on the processor: which device, how far methods are apart, which seed is best, and which
# images have the most confident errors.
DEVICE = re.compile(r"(on cpu) \([^)]*\)")
ADVICE = re.compile(r"^(Recommendation: use ).*")
HEAD = re.compile(r"^(head to use: \S*heads/|head: cfr, seed ).*")
PICTURES = re.compile(r"\d+( of (?:slices|confident errors|the map))")
RULE = re.compile(r"[─━═│┃┌┐└┘├┤┏┓┗┛┡┩╇┼┴┬┳ ]*")


def run_tutorial(page: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """Run the blocks of the page in the working directory.

    Yields:
        The block, the lines that the page shows of its output, and those that it printed; both as
        `comparable_lines`.
    """
    namespace = {"__name__": "__main__"}
    blocks = [(kind, text) for _, kind, text in BLOCK.findall(page)]
    for (kind, text), (after, shown) in pairwise(blocks):
        if kind in ("sh", "python"):
            assert after == "text", f"a block without its output:\n{text}"
            printed = run_commands(text) if kind == "sh" else run_python(text, namespace)
            yield text, comparable_lines(shown), comparable_lines(printed)


def run_commands(text: str) -> str:
    """Return what the command lines print on both streams."""
    printed = ""
    for line in text.replace("\\\n", " ").splitlines():
        python, program, *words = shlex.split(line)
        assert (python, program) == ("python", "cli.py")
        result = CliRunner().invoke(main, words, prog_name="cli.py")
        assert result.exit_code == 0, f"{line}\n{result.output}"
        printed += result.output
    return printed


def run_python(code: str, namespace: dict) -> str:
    """Return what a block of Python prints on standard output."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(code, "tutorial.md", "exec"), namespace)
    return printed.getvalue()


def comparable_lines(text: str) -> list[str]:
    """Return the lines without what depends on the processor or on the width of the columns.

    Empty lines and rules of tables are left out.
    """
    return [comparable(line) for line in text.splitlines() if not RULE.fullmatch(line)]


def comparable(line: str) -> str:
    for pattern in (DEVICE, ADVICE, HEAD, PICTURES):
        line = pattern.sub(r"\1", line)
    line = line.replace("clip-cfr ", "python cli.py ")
    return " ".join(line.split()).rstrip(" │┃")


def is_same(shown: str, printed: str) -> bool:
    """Return whether two lines have the same text and, within `TOLERANCE`, the same measurements.

    Whole numbers are text.
    """
    if MEASURED.sub("#", shown) != MEASURED.sub("#", printed):
        return False
    pairs = zip(MEASURED.findall(shown), MEASURED.findall(printed), strict=True)
    return all(
        float(theirs) == pytest.approx(float(ours), **TOLERANCE)
        for ours, theirs in pairs
        if not ours.startswith("±")
    )


def first_line_not_found(shown: list[str], printed: list[str]) -> str | None:
    """Return the first shown line that is not printed right after the one above it; None if none.

    `LEFT_OUT` stands for any lines, as few as possible. If lines are printed after the last shown
    line, return the first of them after `not shown: `.
    """
    left, may_skip = list(printed), False
    for line in shown:
        if line == LEFT_OUT:
            may_skip = True
            continue
        indices = [index for index, each in enumerate(left) if is_same(line, each)]
        if not indices or (indices[0] and not may_skip):
            return line
        left, may_skip = left[indices[0] + 1 :], False
    return f"not shown: {left[0]}" if left and not may_skip else None
