"""The documentation: its Python runs and prints what it shows, and it names every command."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from clip_cfr.cli import main
from tests.data_page import MODEL, run_page, write_inputs
from tests.tutorial_page import comparable_lines, first_line_not_found, is_same, run_tutorial

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# Runs in a process of its own, as a reader's Python would: each block prints into its own text.
RUN_BLOCKS = """
import contextlib, io, json, sys
page, blocks = sys.argv[1], json.load(sys.stdin)
namespace, printed = {"__name__": "__main__"}, []
for line, code in blocks:
    with contextlib.redirect_stdout(io.StringIO()) as output:
        exec(compile("\\n" * line + code, page, "exec"), namespace)
    printed.append(output.getvalue())
json.dump(printed, sys.stdout)
"""


@dataclass(frozen=True)
class Block:
    """A block of Python on a page.

    Attributes:
        line: number of lines above the code.
        code: what it runs.
        output: what the page says that it prints, in a `text` block after it; empty without one.
    """

    line: int
    code: str
    output: str


def python_blocks(page: str) -> Iterator[Block]:
    """Yield the blocks of Python on a page, each with the output that follows it."""
    fences = list(FENCE.finditer(page))
    for fence, after in zip(fences, [*fences[1:], None], strict=True):
        if fence[1] != "python":
            continue
        is_output = after is not None and after[1] == "text"
        line = page.count("\n", 0, fence.start(2))
        yield Block(line, fence[2], after[2] if is_output else "")


def run_blocks(path: Path, blocks: list[Block], folder: Path) -> list[str]:
    """Run blocks one after the other in one namespace, and return what each prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", RUN_BLOCKS, path],
        input=json.dumps([(block.line, block.code) for block in blocks]),
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def without_trailing_spaces(text: str) -> str:
    """Return text that editors and data frames may end with spaces, without those."""
    return "\n".join(line.rstrip() for line in text.splitlines())


def test_the_python_page_prints_what_it_shows(tmp_path):
    path = ROOT / "docs" / "python.md"
    blocks = list(python_blocks(path.read_text(encoding="utf-8")))
    assert len(blocks) > 5
    for block, printed in zip(blocks, run_blocks(path, blocks, tmp_path), strict=True):
        shown = without_trailing_spaces(block.output)
        assert without_trailing_spaces(printed) == shown, f"{path}, line {block.line + 1}"


def test_the_data_page_says_what_its_commands_say(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_inputs(tmp_path)
    page = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    blocks = list(run_page(page, tmp_path))
    assert len(blocks) > 4
    for shown, said in blocks:
        assert len(shown) == len(said), said
        for start, line in zip(shown, said, strict=True):
            assert line.startswith(start)


@pytest.mark.usefixtures("whole_vocabulary")
def test_the_tutorial_prints_what_it_shows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "extract").mkdir()
    (tmp_path / "extract" / MODEL.name).symlink_to(MODEL)
    page = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    blocks = list(run_tutorial(page))
    assert len(blocks) == 10
    for block, shown, printed in blocks:
        missing = first_line_not_found(shown, printed)
        assert missing is None, f"{block}\ndoes not print {missing!r}:\n" + "\n".join(printed)


class TestTheComparisonWithTheTutorial:
    def test_leaves_out_rules_and_widths(self):
        shown = comparable_lines("┏━━━┓\n┃ class ┃ train ┃\n├──┼──┤\n\n│ rows  │ 2,078   │\n")
        assert shown == ["┃ class ┃ train", "│ rows │ 2,078"]

    def test_takes_the_lines_of_the_page_one_after_the_other(self):
        printed = ["a", "b", "c"]
        assert first_line_not_found(["a", "b", "c"], printed) is None
        assert first_line_not_found(["a", "...", "c"], printed) is None
        assert first_line_not_found(["...", "b", "..."], printed) is None
        assert first_line_not_found(["a", "c"], printed) == "c"
        assert first_line_not_found(["...", "c", "a"], printed) == "a"
        assert first_line_not_found(["a", "b"], printed) == "not shown: c"
        assert first_line_not_found(["b", "..."], printed) == "b"

    @pytest.mark.parametrize(
        ("shown", "printed", "expected"),
        [
            ("ERM 88.0 ± 0.0", "ERM 87.1 ± 0.4", True),
            ("ERM 88.0 ± 0.0", "ERM 71.0 ± 0.0", False),
            ("ERM 88.0 ± 0.0", "CFR 88.0 ± 0.0", False),
            ("red +0.73 [+0.69, +0.78]", "red +0.70 [+0.66, +0.74]", True),
            ("red +0.73", "red -0.73", False),
            ("train/0/1663-0.png,low digit", "train/0/0458-0.png,low digit", False),
            ("15 of 300 images", "31 of 300 images", False),
            ("│ class", "┃ class", False),
        ],
    )
    def test_takes_measurements_within_a_tolerance_and_all_else_exactly(
        self, shown, printed, expected
    ):
        assert is_same(shown, printed) is expected


def commands(group: click.Group, *above: str) -> Iterator[tuple[str, click.Command]]:
    """Yield every command below a group with its whole name, such as `bench train`."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, *above, name)
        else:
            yield " ".join([*above, name]), command


COMMANDS = dict(commands(main))
OPTIONS = [
    pytest.param(option, id=f"{name} {option.opts[0]}")
    for name, command in COMMANDS.items()
    for option in command.params
    if isinstance(option, click.Option) and not option.hidden
]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented(name):
    pattern = re.compile(rf"(`|cli\.py |clip-cfr |make ){name}\b")
    assert any(pattern.search(path.read_text(encoding="utf-8")) for path in PAGES)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_that_ends_with_an_example(name):
    shown = CliRunner().invoke(main, [*name.split(), "-h"], prog_name="clip-cfr").output
    assert re.search(r"^  [A-Z].*[.:]$", shown, re.MULTILINE), "expected a sentence"
    examples = [line.strip() for line in shown.partition("\n  Example:\n")[2].splitlines()]
    assert examples, "expected an example"
    assert examples[0].startswith(f"clip-cfr {name}")


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_has_help(option):
    assert re.fullmatch(r"\S.*\S[.)]", option.help or "", re.DOTALL), option.help


def shown_commands() -> Iterator[tuple[str, str, str]]:
    """Yield the page, the name and the options of each command line in code on the pages."""
    known = "|".join(sorted(COMMANDS, key=len, reverse=True))
    line = re.compile(rf"(?:^|[`'])(?:python cli\.py |clip-cfr )?({known})( [^`'#]*)", re.MULTILINE)
    for path in PAGES:
        text = path.read_text(encoding="utf-8").replace("\\\n", " ")
        code = [fence[2] for fence in FENCE.finditer(text) if fence[1] not in ("python", "text")]
        spans = re.findall(r"`[^`\n]+`", FENCE.sub("", text))
        for part in (*code, *spans):
            yield from ((path.name, found[1], found[2]) for found in line.finditer(part))


def test_options_of_shown_commands_exist():
    seen = 0
    for page, name, rest in shown_commands():
        params = COMMANDS[name].params
        known = {flag for each in params for flag in (*each.opts, *each.secondary_opts)}
        for option in re.findall(r"(?<!\S)--[a-z-]+", rest.partition("\n")[0]):
            seen += 1
            assert option in known, f"{page}: {name} has no option {option}"
    assert seen > 10
