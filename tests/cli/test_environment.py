"""Variables of the environment, consoles and standard streams as people have them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from clip_cfr.cache.write.writer import write_cache
from clip_cfr.cli import main
from tests.cli.test_calibrate import make_cache
from tests.method_entries import parse_methods

ROOT = Path(__file__).parents[2]
QUICK = [
    *("--steps", "20", "--identification-steps", "200", "--identification-lr", "3e-4"),
    *("--erm-steps", "200", "--erm-lr", "3e-4"),
]
NO_SPACE = Path("/dev/full")


@pytest.fixture(scope="module")
def cache_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("caches") / "toy.h5"
    write_cache(path, make_cache())
    return path


def run(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **variables):
    """Run the program in a process of its own."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("JAX_", "PYTHON"))}
    return subprocess.run(
        [sys.executable, str(ROOT / "cli.py"), *map(str, words)],
        stdout=stdout,
        stderr=stderr,
        env=kept | variables,
    )


@pytest.fixture(scope="module")
def methods(cache_file, tmp_path_factory):
    """Return the results of a run without special variables."""
    out = tmp_path_factory.mktemp("runs") / "run"
    done = run("calibrate", "--cache", cache_file, *QUICK, "--out", out, "--json")
    return parse_methods(done.stdout)


@pytest.mark.parametrize(
    "variables",
    [
        {"JAX_ENABLE_X64": "1", "JAX_TRANSFER_GUARD": "disallow"},
        {"JAX_DEFAULT_PRNG_IMPL": "rbg", "JAX_THREEFRY_PARTITIONABLE": "0"},
    ],
)
def test_settings_of_jax_do_not_change_results(cache_file, methods, tmp_path, variables):
    words = ["calibrate", "--cache", cache_file, *QUICK, "--out", tmp_path / "r", "--json"]
    assert parse_methods(run(*words, **variables).stdout) == methods


def test_the_cpu_is_used_as_asked_for_whatever_jax_platforms_says(cache_file, methods, tmp_path):
    compiled = tmp_path / "programs"
    words = ["calibrate", "--cache", cache_file, *QUICK, "--out", tmp_path / "r", "--json"]
    variables = {"JAX_PLATFORMS": "cuda", "JAX_COMPILATION_CACHE_DIR": "~/programs"}
    done = run(*words, "--device", "cpu", HOME=str(tmp_path), **variables)
    assert parse_methods(done.stdout) == methods
    assert any(compiled.iterdir())


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        (
            {"JAX_PLATFORMS": "cheese"},
            "Error: --device auto: JAX finds no such device among JAX_PLATFORMS=cheese (Unable to "
            "initialize backend 'cheese': ",
        ),
        (
            {"JAX_ENABLE_X64": "maybe"},
            "Error: JAX cannot read its settings from the environment: invalid truth value 'maybe' "
            "for environment 'JAX_ENABLE_X64'; unset the JAX_ variable that sets this, or correct "
            "it\n",
        ),
    ],
)
def test_a_wrong_variable_is_one_line(cache_file, tmp_path, variables, expected):
    done = run("calibrate", "--cache", cache_file, *QUICK, "--out", tmp_path / "r", **variables)
    message = done.stderr.decode()
    assert done.returncode == 1
    assert message.startswith(expected)
    assert message.count("\n") == 1
    assert not (tmp_path / "r").exists()


def test_a_wrong_variable_is_one_line_of_show_too(tmp_path):
    done = run("show", tmp_path, JAX_DEFAULT_MATMUL_PRECISION="cheese")
    assert done.returncode == 1
    assert done.stderr.decode().startswith(
        'Error: JAX cannot read its settings from the environment: Invalid value "cheese" for '
    )
    assert done.stderr.count(b"\n") == 1


@pytest.mark.skipif(not NO_SPACE.exists(), reason="needs /dev/full")
def test_a_run_survives_a_full_standard_error(cache_file, tmp_path):
    out = tmp_path / "run"
    with NO_SPACE.open("wb") as full:
        done = run("calibrate", "--cache", cache_file, *QUICK, "--out", out, stderr=full)
    assert done.returncode == 0
    assert b"Recommendation: " in done.stdout
    assert (out / "run.json").is_file()


@pytest.mark.skipif(not NO_SPACE.exists(), reason="needs /dev/full")
def test_a_full_standard_output_loses_no_run(cache_file, tmp_path):
    out = tmp_path / "run"
    with NO_SPACE.open("wb") as full:
        done = run("calibrate", "--cache", cache_file, *QUICK, "--out", out, stdout=full)
    *_, written, _, _, error = done.stderr.decode().splitlines()
    assert done.returncode == 1
    assert written == f"run written to {out}"
    assert error == "Error: output: No space left on device"
    assert (out / "run.json").is_file()


def test_a_table_is_printed_in_any_encoding(cache_file, tmp_path):
    out = tmp_path / "run"
    words = ["calibrate", "--cache", cache_file, *QUICK, "--out", out, "--seeds", "2"]
    done = run(*words, PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert " +/- " in done.stdout.decode("ascii")


@pytest.mark.parametrize("option", ["--out=~/run", "--out"])
def test_a_tilde_is_the_home_folder(cache_file, tmp_path, monkeypatch, option):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    words = ["calibrate", "--cache", cache_file, "--method", "zeroshot", option]
    words += ["~/run"] if option == "--out" else []
    result = CliRunner().invoke(main, [*map(str, words)])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "run" / "run.json").is_file()
    assert not (tmp_path / "~").exists()
