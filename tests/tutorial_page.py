"""Run the commands and the Python of the tutorial, and compare what they print with the page."""

import contextlib
import io
import re
import shlex
from collections.abc import Iterator
from itertools import pairwise

from click.testing import CliRunner

from clip_cfr.cli import main
from tests.data_page import BLOCK

LEFT_OUT = "..."
NUMBER = re.compile(r"[+-]?\d[\d,.]*")
# Depends on the processor: which words are most similar, which device, how far methods are apart.
WORD_ROW = re.compile(r".* # \[# #\] #")
DEVICE = re.compile(r"(on cpu) \([^)]*\)")
ADVICE = re.compile(r"^(Recommendation: use ).*")
HEAD = re.compile(r"^(head to use: \S*heads/).*")
RULES = str.maketrans(dict.fromkeys("│┃", " "))


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

    Numbers become `#`, and the lines are those of the page that can be compared: neither `...` nor
    rows of words.
    """
    lines = [comparable(line) for line in text.splitlines()]
    return [line for line in lines if line not in ("", LEFT_OUT) and not WORD_ROW.match(line)]


def comparable(line: str) -> str:
    for pattern in (DEVICE, ADVICE, HEAD):
        line = pattern.sub(r"\1", line)
    line = line.replace("clip-cfr ", "python cli.py ").translate(RULES)
    return " ".join(NUMBER.sub("#", line).split())


def first_line_not_found(shown: list[str], printed: list[str]) -> str | None:
    """Return the first shown line that is not printed after those above it; None if all are."""
    left = iter(printed)
    return next((line for line in shown if line not in left), None)
