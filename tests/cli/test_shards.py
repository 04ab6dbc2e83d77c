"""Shards: from images to a merged cache, on the command line."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from clip_cfr.cache.read.info import content_digest
from clip_cfr.cache.read.reader import verify_cache
from clip_cfr.cli import main
from tests.cache.shard_files import make_whole, write_shards
from tests.method_entries import parse_methods
from tests.samples import save_photos


def run(*arguments: object, code: int = 0):
    """Run a command, and check its exit code."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


def error_of(*arguments: object, code: int = 1) -> str:
    """Return the last line of the error of a command that fails."""
    return run(*arguments, code=code).stderr.splitlines()[-1]


@pytest.fixture
def shards(tmp_path) -> list[Path]:
    return write_shards(tmp_path, make_whole())


def test_from_images_to_a_merged_cache(small_clip, tmp_path, monkeypatch):
    """A merged cache equals one extraction; calibrate accepts it, and refuses a shard."""
    monkeypatch.chdir(tmp_path)
    save_photos(tmp_path / "data" / "folder", 24)
    extract = f"extract --dataset folder --model {small_clip} --device cpu --templates simple"
    # Equal batches give equal bits: two batches of four per shard, six in all.
    extract = [*extract.split(), "--batch-size", "4"]
    run(*extract, "--out", "whole.h5")
    for index in (3, 1, 2):
        shown = run(*extract, "--shard", f"{index}/3").stderr
        assert shown.endswith(
            "next, once all 3 shards exist: clip-cfr merge folder.*-of-3.h5 --out folder.h5\n"
        )
    shards = [f"folder.{index}-of-3.h5" for index in (1, 2, 3)]
    for index, name in enumerate(shards):
        assert f"shard {index + 1} of 3 (rows {8 * index} to {8 * index + 7} of 24)" in (
            run("info", name).stdout
        )

    run("merge", *shards, "--out", "merged.h5")
    run("merge", *shards, "--out", "virtual.h5", "--virtual")
    assert verify_cache("merged.h5") == verify_cache("virtual.h5") == verify_cache("whole.h5")

    refused = (
        "Error: folder.2-of-3.h5: expected a whole cache, found shard 2 of 3 (rows 8 to 15 of 24); "
        "merge all 3 shards with merge SHARD... --out FILE.h5"
    )
    assert error_of("calibrate", "--cache", shards[1]) == refused
    assert error_of("grid", "--cache", shards[1], "--set", "lr=1e-3,1e-4") == refused
    results = []
    for name in ("virtual.h5", "whole.h5"):
        args = ("--method", "zeroshot", "--json", "--out", tmp_path / "runs" / name)
        results.append(parse_methods(run("calibrate", "--cache", name, *args).stdout))
    assert results[0] == results[1]


def test_wrong_shard_options_are_usage_errors(small_clip, tmp_path):
    root = save_photos(tmp_path / "photos", 5)
    args = ("extract", "--dataset", "folder", "--root", root, "--model", small_clip, "--shard")
    out = ("--out", tmp_path / "a.h5", "--templates", "simple", "--device", "cpu")
    assert error_of(*args, "0/3", *out, code=2) == (
        "Error: --shard is '0/3', expected I/N with I from 1 to N, such as 1/8 to 8/8"
    )
    assert error_of(*args, "1/6", *out, code=2) == (
        "Error: --shard 1/6: folder has 5 rows, too few for 6 shards; use at most 5"
    )
    assert [each.name for each in tmp_path.iterdir()] == ["photos"]


def test_merge_shows_the_merged_cache(shards, tmp_path):
    out = tmp_path / "a.h5"
    found = json.loads(run("merge", *shards, "--out", out, "--virtual", "--json").stdout)
    assert (found["sha256"], found["shard"], found["warnings"]) == (content_digest(out), None, [])
    assert found["sources"] == [str(shard) for shard in shards]
    shown = run("merge", *shards, "--out", out, "--virtual", "--overwrite").stdout
    assert "23 x 6 float16" in shown
    assert "3 shards: a.1-of-3.h5, a.2-of-3.h5, a.3-of-3.h5" in shown


def test_merge_reports_an_error_in_one_line(shards, tmp_path):
    out = tmp_path / "a.h5"
    assert error_of("merge", *shards[:2], "--out", out) == (
        f"Error: {out}: expected all 3 shards, found 2; name the missing files too, or "
        "create them with extract --shard 3/3"
    )
    assert error_of("merge", *shards, "--out", shards[0], "--overwrite", code=2) == (
        f"Error: --out {shards[0]} is one of the files to read; name another"
    )
    assert "Missing argument 'SHARD...'" in error_of("merge", "--out", out, code=2)
    assert sorted(tmp_path.iterdir()) == shards


def test_verify_names_the_shard(shards):
    shown = run("verify", shards[1]).stdout
    assert shown.startswith(
        f"{shards[1]}: no damage found: shard 2 of 3 (rows 7 to 14 of 23), 14 arrays, SHA-256 "
    )
    assert json.loads(run("verify", shards[1], "--json").stdout)["shard"]["index"] == 2


def test_help_ends_with_an_example():
    assert "Example:\n    main merge celeba.*-of-8.h5" in run("merge", "--help").stdout
