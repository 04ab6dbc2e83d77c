"""Import as a whole: the file that is written, memory, interruptions."""

import contextlib
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.read.reader import read_cache, verify_cache
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.importing import import_embeddings as importing
from clip_cfr.extract.importing.import_embeddings import import_embeddings
from tests.extract.importing.examples import Inputs, read_contents

CHECKOUT = Path(__file__).parents[3]
MB = 1 << 20


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "mine.h5"


def test_writes_what_it_reads(all_inputs: Inputs, out: Path, features: np.ndarray):
    expected, expected_notes = read_contents(all_inputs)
    notes = import_embeddings(
        str(all_inputs.features),
        str(all_inputs.metadata),
        out,
        class_embeddings=all_inputs.class_embeddings,
        projection=all_inputs.projection,
    )
    verify_cache(out)
    found = read_cache(out)
    assert notes == expected_notes == ()
    assert found.rows.ids == expected.rows.ids
    np.testing.assert_array_equal(found.features, features)
    np.testing.assert_array_equal(found.head.projection, expected.head.projection)


def test_an_identity_head_takes_no_room(inputs: Inputs, out: Path):
    np.save(inputs.features, np.ones((5, 4000), np.float16))
    import_embeddings(inputs.features, inputs.metadata, out)
    assert out.stat().st_size < 2 * MB
    np.testing.assert_array_equal(read_cache(out).head.projection, np.eye(4000))


def test_writes_nothing_if_the_identity_would_be_too_large(inputs: Inputs, out: Path):
    np.save(inputs.features, np.ones((5, 50_000), np.float16))
    with pytest.raises(ExtractError, match="has 50,000 columns: without a projection the head"):
        import_embeddings(inputs.features, inputs.metadata, out)
    assert not out.exists()


def test_columns_beyond_the_identity_need_a_projection(inputs: Inputs, out: Path):
    np.save(inputs.features, np.ones((5, 50_000), np.float16))
    np.save(out.with_name("W.npy"), np.full((50_000, 2), 0.01, np.float32))
    import_embeddings(inputs.features, inputs.metadata, out, projection=out.with_name("W.npy"))
    assert read_cache(out).head.projection.shape == (50_000, 2)


def test_an_input_is_never_the_output(all_inputs: Inputs):
    for path in (all_inputs.features, all_inputs.metadata, all_inputs.projection):
        before = path.read_bytes()
        with pytest.raises(CacheError):
            import_embeddings(
                all_inputs.features,
                all_inputs.metadata,
                path,
                projection=f"{all_inputs.projection}",
                overwrite=True,
            )
        assert path.read_bytes() == before


def test_lack_of_memory_names_a_remedy_for_imports(inputs: Inputs, out: Path, monkeypatch):
    def fail(*_, **__):
        raise MemoryError("Unable to allocate 1 GiB")

    monkeypatch.setattr(importing, "write_cache", fail)
    with pytest.raises(ExtractError) as error:
        import_embeddings(inputs.features, inputs.metadata, out)
    assert str(error.value) == (
        f"{inputs.features}: out of memory during import (Unable to allocate 1 GiB); save the "
        "features as float16 in a .npy file, which is read block by block, import fewer rows, or "
        "use a machine with more memory"
    )


PROGRAM = """
import resource, sys
from clip_cfr.extract.importing.import_embeddings import import_embeddings
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
import_embeddings(sys.argv[1], sys.argv[2], sys.argv[3])
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
"""


def save_npy(path: Path, numbers: np.ndarray):
    np.save(path, numbers)


def save_npz(path: Path, numbers: np.ndarray):
    with path.open("wb") as file:
        np.savez(file, numbers)


def save_hdf5(path: Path, numbers: np.ndarray):
    with h5py.File(path, "w") as file:
        file["x"] = numbers


@pytest.mark.parametrize("save", [save_npy, save_npz, save_hdf5])
def test_features_are_read_block_by_block(inputs: Inputs, out: Path, save):
    """The features take 200 MB, and the process grows by much less."""
    num_rows = 50_000
    save(inputs.features, np.ones((num_rows, 1000), np.float32))
    rows = "".join(f"{row}.jpg,{row % 2},{row // 2 % 3}\n" for row in range(num_rows))
    inputs.metadata.write_text("filename,label,split\n" + rows)
    arguments = [str(each) for each in (inputs.features, inputs.metadata, out)]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, cwd=CHECKOUT
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 120
    assert read_cache(out).features.shape == (num_rows, 1000)


# Runs the program with Ctrl-C enabled, also if the parent process ignores it.
INTERRUPTIBLE = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from clip_cfr.cli import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_import_leaves_no_file(inputs: Inputs, out: Path, number: int):
    num_rows = 30_000
    np.save(inputs.features, np.ones((num_rows, 2000), np.float32))
    rows = "".join(f"{row}.jpg,{row % 2},{row // 2 % 3}\n" for row in range(num_rows))
    inputs.metadata.write_text("filename,label,split\n" + rows)
    arguments = [str(each) for each in (inputs.features, inputs.metadata, out)]
    names = ("--features", "--metadata", "--out")
    options = [word for pair in zip(names, arguments, strict=True) for word in pair]
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE, "import", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=CHECKOUT,
    )
    temporary = wait_for_temporary(out)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert not out.exists()
    if number == signal.SIGINT:
        assert process.returncode == 130, errors
        assert errors.decode().splitlines()[-1] == f"{out}: interrupted; run the same command again"
        assert not temporary.exists()


def wait_for_temporary(out: Path) -> Path:
    """Wait until a temporary file is being written beside the output, and return it."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for path in out.parent.glob("*.tmp*"):
            # The check that the folder can be written removes its file at once.
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_size > MB:
                    return path
        time.sleep(0.002)
    raise TimeoutError("no temporary file")
