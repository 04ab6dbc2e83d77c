import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from clip_cfr.cache.read.reader import read_cache, verify_cache
from clip_cfr.cli import main
from clip_cfr.extract.commands.next_command import merge_command
from tests.extraction_process import ExtractionProcess, has_ended
from tests.samples import save_photos

ROOT = Path(__file__).parents[2]
NUM_PHOTOS = 600


@pytest.fixture
def photos(tmp_path):
    return save_photos(tmp_path / "photos", 20)


def arguments(root: Path, model: Path, out: Path, *more: str) -> list[str]:
    fixed = f"extract --dataset folder --root {root} --model {model} --out {out} --device cpu"
    return [*fixed.split(), "--templates", "simple", *more]


def run(*args, code: int = 0):
    """Run a command in this process, check its exit code and return the result."""
    result = CliRunner().invoke(main, [str(arg) for arg in args])
    assert result.exit_code == code, result.output
    return result


def error_of(*args, code: int = 1) -> str:
    """Return the last line on standard error of a command that fails."""
    return run(*args, code=code).stderr.splitlines()[-1]


def test_from_images_to_a_table(photos, small_clip, tmp_path):
    out = tmp_path / "photos.h5"
    result = run(*arguments(photos, small_clip, out))
    assert "20 (train 12, val 4, test 4)" in result.stdout
    assert "images/s" in result.stdout
    assert result.stderr.splitlines()[0] == f"loading {small_clip}"
    assert result.stderr.splitlines()[1].startswith(
        f"20 images of folder: {small_clip} in float32 on cpu ("
    )
    assert result.stderr.splitlines()[2:] == [
        "embedding 2 words",
        f"next: clip-cfr calibrate --cache {out}",
    ]
    assert read_cache(out).valid.all()
    assert read_cache(out).vocabulary.words == ("on water", "on land")


def test_json_is_the_only_output_on_standard_output(photos, small_clip, tmp_path):
    out = tmp_path / "photos.h5"
    (photos / "0004.png").write_bytes(b"")
    found = json.loads(
        run(*arguments(photos, small_clip, out, "--json", "--on-error", "skip")).stdout
    )
    assert found["seconds"] > 0
    assert found["images_per_second"] > 0
    assert found["device"].startswith("cpu (")
    assert {key: found[key] for key in ("cache", "dataset", "model", "compute_dtype")} == {
        "cache": str(out),
        "dataset": "folder",
        "model": str(small_clip),
        "compute_dtype": "float32",
    }
    assert found["rows"] == {"train": 12, "val": 4, "test": 4}
    assert found["unreadable"] == ["0004.png"]
    assert found["resumed_at"] == 0
    assert found["warnings"] == ["split train: 1 of 12 images could not be read"]


def test_out_and_root_default_to_the_name_of_the_data_set(
    photos, small_clip, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    photos.rename(tmp_path / "data" / "folder")
    run("extract", "--dataset", "folder", "--model", small_clip, "--templates", "simple")
    assert len(read_cache("folder.h5").rows) == 20


def test_options_of_the_data_set_are_passed_on(photos, small_clip, tmp_path):
    out = tmp_path / "photos.h5"
    metadata = photos.parent / "other.csv"
    (photos / "metadata.csv").rename(metadata)
    metadata.write_text(metadata.read_text().replace("cat", "0").replace("dog", "1"))
    names = ("--metadata", str(metadata), "--class-names", "cat,St. Bernard")
    run(*arguments(photos, small_clip, out, *names))
    texts = read_cache(out).texts
    assert texts.class_names == ("cat", "St. Bernard")
    assert texts.class_prompts[1] == ("a photo of a St. Bernard.",)


def test_wrong_usage_exits_with_2(photos, small_clip, tmp_path):
    unknown = error_of("extract", "--dataset", "birds", code=2)
    assert unknown.startswith("Error: --dataset is 'birds', expected one of digits")
    args = arguments(photos, small_clip, tmp_path / "out.h5", "--protocol", "five-class")
    assert error_of(*args, code=2).startswith("Error: folder has no option --protocol")


def test_a_missing_root_is_an_error(small_clip, tmp_path):
    root = tmp_path / "nowhere"
    message = error_of(*arguments(root, small_clip, tmp_path / "out.h5"))
    assert message.startswith("Error: ")
    assert str(root) in message


def test_errors_of_the_data_set_are_reported_before_torch_is_imported(tmp_path):
    args = arguments(tmp_path / "nowhere", Path("extract/tiny_clip"), tmp_path / "out.h5")
    code = f"""
import sys
from clip_cfr.cli import main
from clip_cfr.extract.commands.next_command import merge_command
try:
    main({args})
except SystemExit as done:
    print(done.code, "torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stderr.startswith(
        f"Error: {tmp_path / 'nowhere'} is not an existing folder; set --root to a folder"
    )
    assert done.stdout == "1 False\n"


def test_a_finished_file_is_reported_before_the_model_is_loaded(photos, small_clip, tmp_path):
    out = tmp_path / "photos.h5"
    run(*arguments(photos, small_clip, out))
    assert run(*arguments(photos, small_clip, out), code=1).stderr == (
        f"Error: {out}: the file exists; replace it with --overwrite or name another\n"
    )
    run(*arguments(photos, small_clip, out, "--overwrite"))


def test_an_unreadable_image_is_an_error(photos, small_clip, tmp_path):
    (photos / "0004.png").write_bytes(b"")
    message = error_of(*arguments(photos, small_clip, tmp_path / "out.h5"))
    assert message.startswith("Error: 0004.png: the file is empty; ")
    assert "--on-error skip" in message


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_a_missing_device_is_an_error(photos, small_clip, tmp_path):
    args = [*arguments(photos, small_clip, tmp_path / "out.h5"), "--device", "cuda"]
    assert error_of(*args) == (
        f"Error: --device cuda: torch {torch.__version__} finds no CUDA device here; "
        "use --device cpu"
    )


def test_a_missing_model_is_one_line(photos, tmp_path):
    missing = tmp_path / "no" / "model"
    message = error_of(*arguments(photos, missing, tmp_path / "out.h5"))
    assert message.startswith(f"Error: model {missing}: there is no such folder or file; ")
    assert "--model" in message


def test_a_full_disk_loses_no_saved_rows(photos, small_clip, tmp_path):
    out, whole = tmp_path / "out.h5", tmp_path / "whole.h5"
    args = arguments(photos, small_clip, out, "--batch-size", "4")
    run(*arguments(photos, small_clip, whole, "--batch-size", "4"))
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        message = error_of(*args)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert message.startswith(f"Error: {out}: cannot be written: File too large; ")
    assert message.endswith("; make room and run the same command again")
    assert "resuming at row" in run(*args).stderr
    assert verify_cache(out) == verify_cache(whole)


@pytest.mark.parametrize(("workers", "rounds"), [("0", 5), ("2", 3)])
def test_repeated_kills_do_not_change_the_result(small_clip, tmp_path, workers, rounds):
    photos = save_photos(tmp_path / "photos", NUM_PHOTOS)
    whole, out = tmp_path / "whole.h5", tmp_path / "out.h5"
    run(*arguments(photos, small_clip, whole, "--batch-size", "2"))
    args = arguments(photos, small_clip, out, "--batch-size", "2", "--workers", workers)
    saved, pids = 0, []
    for _ in range(rounds):
        extraction = ExtractionProcess(args, out)
        extraction.wait_for(saved + 8)
        time.sleep(random.uniform(0, 0.02))
        pids += extraction.descendants()
        assert extraction.end(signal.SIGKILL) == -signal.SIGKILL
        saved = extraction.num_batches()
    assert saved < NUM_PHOTOS // 2
    assert len(pids) >= rounds * int(workers)
    assert [pid for pid in pids if not has_ended(pid)] == []
    assert f"resuming at row {2 * saved}\n" in run(*args).stderr
    assert verify_cache(out) == verify_cache(whole)
    assert sorted(path.name for path in tmp_path.glob("out.h5*")) == ["out.h5"]


def test_ctrl_c_loses_no_saved_rows_and_a_second_writer_is_an_error(small_clip, tmp_path):
    photos = save_photos(tmp_path / "photos", NUM_PHOTOS)
    whole, out = tmp_path / "whole.h5", tmp_path / "out.h5"
    run(*arguments(photos, small_clip, whole, "--batch-size", "2"))
    args = arguments(photos, small_clip, out, "--batch-size", "2")
    extraction = ExtractionProcess(args, out)
    extraction.wait_for(8)
    os.kill(extraction.process.pid, signal.SIGSTOP)
    assert error_of(*args).startswith(f"Error: {out}: another process is writing this file; ")
    os.kill(extraction.process.pid, signal.SIGCONT)
    assert extraction.end(signal.SIGINT) == 130
    assert extraction.log.read_text().endswith(
        f"{out}: interrupted; run the same command again to resume\n"
    )
    assert f"resuming at row {2 * extraction.num_batches()}\n" in run(*args).stderr
    assert verify_cache(out) == verify_cache(whole)


def test_open_settings_are_those_of_the_unfinished_job(small_clip, tmp_path):
    photos = save_photos(tmp_path / "photos", 40)
    whole, out = tmp_path / "whole.h5", tmp_path / "out.h5"
    settings = ("--batch-size", "4", "--dtype", "bfloat16", "--channels-last")
    run(*arguments(photos, small_clip, whole, *settings))
    bad = photos / "0021.png"
    good = bad.read_bytes()
    bad.write_bytes(b"")
    message = error_of(*arguments(photos, small_clip, out, *settings))
    assert message.startswith("Error: 0021.png: the file is empty; ")
    assert message.endswith(" (the 20 rows before are kept)")
    bad.write_bytes(good)
    other = arguments(photos, small_clip, out, "--dtype", "float32", "--no-channels-last")
    assert (
        "belongs to another job: channels_last was true, now false; compute_dtype was "
        '"bfloat16", now "float32"; run again'
    ) in error_of(*other)
    lines = run(*arguments(photos, small_clip, out)).stderr.splitlines()
    assert " in bfloat16 on cpu (" in lines[1]
    assert lines[1].endswith(", in batches of 4")
    assert lines[2] == "resuming at row 20"
    assert verify_cache(out) == verify_cache(whole)
    provenance = read_cache(out).provenance
    assert (provenance["channels_last"], provenance["compile"]) == (True, False)


def test_ctrl_c_with_workers_prints_one_line(small_clip, tmp_path):
    photos = save_photos(tmp_path / "photos", 200)
    out = tmp_path / "out.h5"
    args = arguments(photos, small_clip, out, "--batch-size", "2", "--workers", "2")
    extraction = ExtractionProcess(args, out)
    extraction.wait_for(3)
    assert extraction.end(signal.SIGINT) == 130
    assert len(extraction.log.read_text().splitlines()) == 3
    assert "resuming at row" in run(*args[:-1], "0").stderr


def help_of(columns: int) -> str:
    done = subprocess.run(
        [sys.executable, "cli.py", "extract", "-h"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": str(columns)},
    )
    return done.stdout


def test_help_is_fast_and_has_an_example():
    started = time.monotonic()
    shown = help_of(columns=100)
    assert time.monotonic() - started < 10
    assert "Example:\n    python cli.py extract --dataset waterbirds" in shown


def test_help_has_every_option_in_a_group():
    lines = help_of(columns=80).splitlines()
    assert max(map(len, lines)) <= 80
    options = lines[lines.index("Options:") + 1 :]
    titles = [line.strip() for line in options if re.fullmatch(r"  [A-Z].*: ", line)]
    assert titles == ["Data set:", "Output:", "Model:", "Compute:", "Images:"]
    # Grouped options are indented by four columns.
    assert [line for line in options if line.startswith("  -")] == [
        "  -h, --help                      Show this message and exit."
    ]


def test_an_invalid_value_is_an_error_that_names_the_option(tmp_path):
    args = ("extract", "--dataset", "digits", "--out", tmp_path / "out.h5")
    assert error_of(*args, "--batch-size", "many", code=2) == (
        "Error: Invalid value for '--batch-size': 'many' is neither auto nor a whole number"
    )
    assert error_of(*args, "--on-error", "ignore", code=2) == (
        "Error: Invalid value for '--on-error': 'ignore' is not one of 'fail', 'skip'."
    )
    assert error_of("extract", code=2) == "Error: Missing option '--dataset'."


def test_import_shows_the_next_command(tmp_path):
    np.save(tmp_path / "features.npy", np.eye(6, dtype=np.float32))
    lines = [f"{row}.png,{'cat' if row % 2 else 'dog'},train" for row in range(6)]
    (tmp_path / "list.csv").write_text("\n".join(["filename,label,split", *lines, ""]))
    out = tmp_path / "my cache.h5"
    files = ("--features", tmp_path / "features.npy", "--metadata", tmp_path / "list.csv")
    result = run("import", *files, "--out", out)
    assert result.stderr.splitlines()[-1] == f"next: clip-cfr calibrate --cache '{out}'"
    assert run("import", *files, "--out", out, "--overwrite", "--json").stderr.endswith(
        f"next: clip-cfr calibrate --cache '{out}'\n"
    )
    inputs = (*files, "--out", tmp_path / "list.csv", "--overwrite")
    assert error_of("import", *inputs, code=2) == (
        f"Error: --out {tmp_path / 'list.csv'} is one of the files to read; name another"
    )


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("celeba.3-of-8.h5", "merge celeba.*-of-8.h5 --out celeba.h5"),
        ("my shards/a.3-of-8.h5", "merge 'my shards/a'.*-of-8.h5 --out 'my shards/a.h5'"),
        ("third.h5", "merge SHARD... --out FILE.h5"),
    ],
)
def test_the_next_command_after_a_shard_is_merge(name, words):
    assert " ".join(merge_command(Path(name), (3, 8))) == words
