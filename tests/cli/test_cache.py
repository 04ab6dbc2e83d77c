"""The commands info and verify: output, JSON, errors, exit codes."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from clip_cfr.cache.console import CONTROLS
from clip_cfr.cache.read.info import content_digest
from clip_cfr.cache.read.reader import verify_cache
from clip_cfr.cache.write.writer import write_cache
from clip_cfr.cli import main
from tests.cache.examples import make_cache
from tests.cache.shard_files import make_whole, write_shards

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path):
    write_cache(tmp_path / "a.h5", make_cache(prompts=(("[b]a cat.", "cats."), ("a dog.",))))
    return tmp_path / "a.h5"


def run(*arguments: object, code: int = 0):
    """Run a command, and check its exit code."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


def rows_of_groups(split: int) -> dict[tuple[int, int], int]:
    """Count the rows of each group in a split, one by one."""
    rows = make_cache().rows
    counts = {(label, attribute): 0 for label in range(2) for attribute in range(2)}
    for label, attribute, code in zip(rows.labels, rows.attributes, rows.splits, strict=True):
        counts[label, attribute] += int(code == split)
    return counts


def test_info_counts_the_rows_of_each_split_and_group(path):
    splits = json.loads(run("info", path, "--json").stdout)["splits"]
    for code, (name, invalid) in enumerate({"train": 0, "val": 1, "test": 0}.items()):
        assert splits[name] == {
            "n": 4,
            "invalid": invalid,
            "subjects": 4,
            "groups": [
                {
                    "label": label,
                    "attribute": attribute,
                    "class_name": f"class {label}",
                    "attribute_name": f"attribute {attribute}",
                    "n": n,
                }
                for (label, attribute), n in rows_of_groups(code).items()
            ],
        }


def test_info_prints_json(path):
    info = json.loads(run("info", path, "--json").stdout)
    del info["splits"]
    assert info == {
        "cache": str(path),
        "version": 1,
        "sha256": content_digest(path),
        "bytes": path.stat().st_size,
        "dataset": "examples",
        "shard": None,
        "sources": None,
        "features": {"shape": [12, 6], "dtype": "float16"},
        "invalid_rows": [{"row": 1, "id": "images/é 1.png"}],
        "head": {"projection": [6, 4], "bias": True, "logit_scale": 100.0},
        "texts": {
            "class_names": ["class 0", "class 1"],
            "attribute_names": ["attribute 0", "attribute 1"],
            "class_prompts": [["[b]a cat.", "cats."], ["a dog."]],
            "attribute_prompts": [["an attribute 0."], ["an attribute 1."]],
            "attribute_embeddings": True,
            "prompt_sets": [],
            "words": None,
        },
        "provenance": make_cache().provenance,
    }


def lines(output: str) -> list[str]:
    """Return the rows of printed tables, as cells joined by bars."""
    rows = (line.strip("│┃┏┓└┘├┤ ").replace("┃", "│").split("│") for line in output.splitlines())
    return ["|".join(cell.strip() for cell in row) for row in rows]


def test_info_prints_tables(path):
    shown = lines(run("info", path).stdout)
    counts = "|".join(str(rows_of_groups(split)[1, 1]) for split in range(3))
    for expected in (
        "data set|examples",
        "features|12 x 6 float16",
        "unreadable images|row 1 images/é 1.png",
        "head|6 x 4, with bias, logit scale 100",
        "class class 0|[b]a cat., cats.",
        "class|attribute|train|val|test",
        f"class 1|attribute 1|{counts}",
        "all||4|4|4",
        "unreadable images||0|1|0",
        "subjects||4|4|4",
        "model|examples",
        'nested|{"a": 1}',
    ):
        assert expected in shown


def test_info_shows_a_cache_without_attributes_prompts_or_subjects(tmp_path):
    cache = make_cache(prompts=((), ()), num_attributes=0, bias=False, subjects=False)
    write_cache(tmp_path / "a.h5", cache)
    shown = lines(run("info", tmp_path / "a.h5").stdout)
    assert "class class 0|no prompts" in shown
    assert "head|6 x 4, no bias, logit scale 100" in shown
    assert not any(row.startswith("subjects") for row in shown)
    splits = json.loads(run("info", tmp_path / "a.h5", "--json").stdout)["splits"]
    assert splits["train"]["subjects"] is None
    assert [group["attribute_name"] for group in splits["train"]["groups"]] == [None, None]


def test_verify_reports_an_undamaged_cache(path):
    digest = content_digest(path)
    assert run("verify", path).stdout == f"{path}: no damage found: 14 arrays, SHA-256 {digest}\n"
    assert json.loads(run("verify", path, "--json").stdout) == {
        "cache": str(path),
        "sha256": digest,
        "shard": None,
        "datasets": verify_cache(path),
    }


@pytest.mark.parametrize("command", ["info", "verify"])
def test_a_missing_file_is_reported_in_one_line(command, tmp_path):
    result = run(command, tmp_path / "a.h5", code=1)
    assert result.stdout == ""
    assert result.stderr == (
        f"Error: {tmp_path / 'a.h5'}: no such file; write it with extract or import, --out\n"
    )


def test_verify_names_the_damaged_rows(path):
    data = bytearray(path.read_bytes())
    data[data.index(make_cache().features[7].tobytes())] ^= 1
    path.write_bytes(data)
    assert run("verify", path, "--json", code=1).stderr == (
        f"Error: {path}: features, rows 0 to 11: expected data that matches its checksum, found "
        "damaged data; the file is damaged: restore it, or write it again with --overwrite\n"
    )


@pytest.mark.parametrize("command", ["info", "verify"])
def test_help_ends_with_an_example(command):
    assert f"Example:\n    main {command} celeba.h5" in run(command, "--help").stdout


def test_a_missing_argument_is_a_usage_error():
    assert "Missing argument 'FILE'." in run("info", code=2).stderr


def test_a_full_or_closed_output_gives_no_traceback(tmp_path):
    for sink, message in (("/dev/full", "Error: output: No space left on device\n"), ("|true", "")):
        command = f"set -o pipefail; {sys.executable} {ROOT / 'cli.py'} info -h "
        command += sink if sink.startswith("|") else f"> {sink}"
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (1, message)


def test_a_file_name_that_is_too_long_is_reported(tmp_path):
    path = tmp_path / ("a" * 300)
    result = CliRunner().invoke(main, ["info", str(path)])
    assert result.exit_code == 1
    assert "File name too long" in result.stderr


def test_control_characters_are_escaped(tmp_path):
    """Names come from files: none may move the cursor, change colours or reorder the text."""
    names = ("a\x1b[31mred", "b\u202edlo", "c\rd\x9b1m")
    cache = make_cache(n=12, prompts=(("x\x1b[2J.",), ("y.",), ()))
    path = tmp_path / "a.h5"
    rows = replace(cache.rows, ids=("bad\x1b[1A.png", *cache.rows.ids[1:]))
    texts = replace(cache.texts, class_names=names)
    write_cache(path, replace(cache, rows=rows, texts=texts, dataset="d\x07"))
    shown = run("info", path).stdout
    assert not CONTROLS.search(shown)
    for name in (r"a\x1b[31mred", r"b\u202edlo", r"x\x1b[2J."):
        assert name in shown
    assert json.loads(run("info", path, "--json").stdout)["texts"]["class_names"] == list(names)
    message = run("info", tmp_path / "a\x1b[31m.h5", code=1).stderr
    assert message.startswith(f"Error: {tmp_path}/a\\x1b[31m.h5: no such file")


def test_what_a_kill_left_is_reported_on_standard_error(tmp_path):
    shards = write_shards(tmp_path / "shards", make_whole())
    left = tmp_path / ".a\x1b.h5.0123abcd.tmp"
    left.touch()
    result = run("merge", *shards, "--out", tmp_path / "a\x1b.h5", "--json")
    assert result.stderr == (
        f"{tmp_path}/a\\x1b.h5: removed the leftovers of a killed process: "
        ".a\\x1b.h5.0123abcd.tmp\n"
    )
    assert not left.exists()
