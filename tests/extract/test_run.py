import json
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.read.reader import read_cache, verify_cache
from clip_cfr.extract.datasets import load_dataset
from clip_cfr.extract.datasets.common.options import DatasetOptions
from clip_cfr.extract.encoders.load import load_encoder
from clip_cfr.extract.encoders.spec import EncoderSpec
from clip_cfr.extract.engines.batch_size import CPU_SIZE
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.images.batches import batches
from clip_cfr.extract.images.decode import REMEDY
from clip_cfr.extract.manifest.limit import limit_rows
from clip_cfr.extract.manifest.manifest import Manifest
from clip_cfr.extract.options import ExtractOptions
from clip_cfr.extract.run import extract
from tests.samples import save_photos

NUM_PHOTOS = 40
OPTIONS = ExtractOptions(batch_size=8, templates="simple")


class Told:
    """A progress that remembers, and stops the extraction with Ctrl-C after so many batches."""

    def __init__(self, stop_after: int | None = None):
        self.lines, self.saved, self.stop_after = [], [], stop_after

    def start(self, row: int, num_rows: int) -> None:
        self.started = (row, num_rows)

    def advance(self, num_rows: int) -> None:
        self.saved.append(num_rows)
        if len(self.saved) == self.stop_after:
            raise KeyboardInterrupt

    def say(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture(scope="module")
def encoder(small_clip):
    return load_encoder(EncoderSpec(str(small_clip), device="cpu"))


@pytest.fixture
def photos(tmp_path):
    return save_photos(tmp_path / "photos", NUM_PHOTOS)


@pytest.fixture
def manifest(photos) -> Manifest:
    return load_dataset("folder", photos, DatasetOptions())


@pytest.fixture
def out(tmp_path):
    return tmp_path / "photos.h5"


def stop(manifest, encoder, out, options=OPTIONS, after=2):
    with pytest.raises(KeyboardInterrupt):
        extract(manifest, encoder, out, options, Told(stop_after=after))


def test_the_cache_holds_every_row_in_its_place(manifest, encoder, out):
    told = Told()
    summary = extract(manifest, encoder, out, OPTIONS, told)
    cache = read_cache(out)
    assert cache.rows.ids == manifest.rows.ids
    for column in ("labels", "attributes", "splits"):
        np.testing.assert_array_equal(getattr(cache.rows, column), getattr(manifest.rows, column))
    assert cache.valid.all()
    images = [encoder.view.pixels(decoded(manifest, row)) for row in range(NUM_PHOTOS)]
    np.testing.assert_allclose(cache.features, encoder.encode(np.stack(images)), rtol=1e-3)
    np.testing.assert_array_equal(cache.head.projection, encoder.head().projection)
    assert (told.started, told.saved) == ((0, NUM_PHOTOS), [8] * 5)
    assert summary.rows == {"train": 24, "val": 8, "test": 8}
    assert (summary.unreadable, summary.resumed_at, summary.warnings) == ((), 0, ())


def decoded(manifest, row):
    from clip_cfr.extract.images.decode import read_image

    return read_image(manifest.images, row, manifest.rows.ids[row])


def test_the_texts_are_those_of_the_text_tower(manifest, encoder, out):
    extract(manifest, encoder, out, OPTIONS, Told())
    texts = read_cache(out).texts
    assert texts.class_prompts == (("a photo of a cat.",), ("a photo of a dog.",))
    expected = encoder.embed_texts(["a photo of a cat.", "a photo of a dog."])
    np.testing.assert_allclose(texts.class_embeddings, expected, rtol=1e-6)
    expected = encoder.embed_texts(["a photo of a in.", "a photo of a out."])
    np.testing.assert_allclose(texts.attribute_embeddings, expected, rtol=1e-6)


def test_the_provenance_says_how_it_was_made(manifest, encoder, out):
    extract(manifest, encoder, out, OPTIONS, Told())
    provenance = read_cache(out).provenance
    created = datetime.fromisoformat(provenance.pop("created"))
    assert abs((datetime.now(UTC) - created).total_seconds()) < 60
    assert provenance == encoder.provenance() | {
        "manifest_sha256": manifest.sha256(),
        "limit": None,
        "batch_size": 8,
        "templates": "simple",
    }


def test_features_are_stored_as_asked(manifest, encoder, tmp_path):
    half, full = tmp_path / "half.h5", tmp_path / "full.h5"
    extract(manifest, encoder, half, OPTIONS, Told())
    extract(manifest, encoder, full, replace(OPTIONS, features_dtype="float32"), Told())
    np.testing.assert_array_equal(
        read_cache(full).features.astype(np.float16), read_cache(half).features
    )


def test_the_number_of_workers_does_not_touch_the_bits(manifest, encoder, tmp_path):
    one, many = tmp_path / "one.h5", tmp_path / "many.h5"
    extract(manifest, encoder, one, replace(OPTIONS, workers=0), Told())
    extract(manifest, encoder, many, replace(OPTIONS, workers=3), Told())
    assert verify_cache(one) == verify_cache(many)


@pytest.mark.parametrize("after", [1, 2, 4])
def test_an_interrupted_extraction_goes_on_to_the_same_bits(
    manifest, encoder, out, tmp_path, after
):
    whole = tmp_path / "whole.h5"
    extract(manifest, encoder, whole, OPTIONS, Told())
    stop(manifest, encoder, out, after=after)
    told = Told()
    summary = extract(manifest, encoder, out, OPTIONS, told)
    assert told.lines[-1] == f"resuming at row {8 * after}"
    assert told.started == (8 * after, NUM_PHOTOS)
    assert summary.resumed_at == 8 * after
    assert verify_cache(out) == verify_cache(whole)


def test_an_unreadable_image_stops_it_and_is_named(manifest, encoder, photos, out, tmp_path):
    whole = tmp_path / "whole.h5"
    extract(manifest, encoder, whole, OPTIONS, Told())
    good = (photos / "0021.png").read_bytes()
    (photos / "0021.png").write_bytes(b"")
    with pytest.raises(ExtractError) as caught:
        extract(manifest, encoder, out, OPTIONS, Told())
    assert str(caught.value) == (
        f"0021.png: the file is empty; {REMEDY} (the 16 rows before are kept)"
    )
    (photos / "0021.png").write_bytes(good)
    told = Told()
    extract(manifest, encoder, out, OPTIONS, told)
    assert "resuming at row 16" in told.lines
    assert verify_cache(out) == verify_cache(whole)


def test_a_skipped_image_keeps_its_row_and_leaves_the_others_alone(
    manifest, encoder, photos, out, tmp_path
):
    whole = tmp_path / "whole.h5"
    extract(manifest, encoder, whole, OPTIONS, Told())
    (photos / "0021.png").write_bytes(b"no image")
    (photos / "0022.png").unlink()
    told = Told()
    summary = extract(manifest, encoder, out, replace(OPTIONS, skip_unreadable=True), told)
    cache, untouched = read_cache(out), read_cache(whole).features
    bad = np.isin(np.arange(NUM_PHOTOS), [21, 22])
    np.testing.assert_array_equal(cache.valid, ~bad)
    assert not cache.features[bad].any()
    np.testing.assert_array_equal(cache.features[~bad], untouched[~bad])
    assert cache.rows.ids == manifest.rows.ids
    assert summary.unreadable == ("0021.png", "0022.png")
    assert told.lines[1] == (
        "skipped: 0021.png: no image format that is known; the file begins with b'no image'"
    )
    assert told.lines[2].startswith("skipped: 0022.png: the file cannot be read (No such file")
    assert summary.warnings == ("split train: 2 of 24 images could not be read",)
    assert told.lines[3:] == ["warning: split train: 2 of 24 images could not be read"]


def test_after_a_failure_it_goes_on_with_skip(manifest, encoder, photos, out):
    (photos / "0021.png").write_bytes(b"")
    with pytest.raises(ExtractError):
        extract(manifest, encoder, out, OPTIONS, Told())
    told = Told()
    summary = extract(manifest, encoder, out, replace(OPTIONS, skip_unreadable=True), told)
    assert "resuming at row 16" in told.lines
    assert summary.unreadable == ("0021.png",)


def test_unreadable_rows_from_before_an_interruption_are_told(manifest, encoder, photos, out):
    skipping = replace(OPTIONS, skip_unreadable=True)
    (photos / "0003.png").write_bytes(b"")
    stop(manifest, encoder, out, skipping)
    assert extract(manifest, encoder, out, skipping, Told()).unreadable == ("0003.png",)


def test_a_split_without_an_image_is_a_warning(manifest, encoder, photos, out):
    for row in np.flatnonzero(manifest.rows.splits == 1):
        (photos / manifest.rows.ids[row]).write_bytes(b"")
    summary = extract(manifest, encoder, out, replace(OPTIONS, skip_unreadable=True), Told())
    assert summary.warnings == ("split val: none of its 8 images could be read",)


def test_what_the_loader_noticed_is_told_first(manifest, encoder, out):
    told = Told()
    noticed = replace(manifest, warnings=("fewer rows than published",))
    summary = extract(noticed, encoder, out, OPTIONS, told)
    assert told.lines[0] == "warning: fewer rows than published"
    assert summary.warnings == ("fewer rows than published",)


def test_a_limit_takes_rows_of_every_split_and_group(manifest, encoder, out, tmp_path):
    whole = tmp_path / "whole.h5"
    extract(manifest, encoder, whole, OPTIONS, Told())
    extract(manifest, encoder, out, replace(OPTIONS, limit=12), Told())
    few, all_rows = read_cache(out), read_cache(whole)
    assert few.provenance["limit"] == 12
    kept = [manifest.rows.ids.index(name) for name in few.rows.ids]
    assert kept == sorted(kept)
    assert len(set(kept)) == 12
    cells = set(zip(few.rows.splits, few.rows.labels, few.rows.attributes, strict=True))
    assert len(cells) == 12
    np.testing.assert_array_equal(few.rows.labels, all_rows.rows.labels[kept])
    np.testing.assert_allclose(few.features, all_rows.features[kept], rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize(("limit", "expected"), [(12, [4, 4, 4]), (20, [12, 4, 4])])
def test_a_limit_keeps_the_shares_and_one_of_each(manifest, limit, expected):
    assert np.bincount(limit_rows(manifest, limit).rows.splits).tolist() == expected


def test_a_limit_above_the_rows_takes_them_all(manifest, encoder, out):
    extract(manifest, encoder, out, replace(OPTIONS, limit=NUM_PHOTOS + 1), Told())
    assert read_cache(out).rows.ids == manifest.rows.ids


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"batch_size": 4}, "batch_size was 8, now 4"),
        ({"features_dtype": "float32"}, 'dtype was "float16", now "float32"'),
        ({"limit": 12}, "limit was null, now 12"),
    ],
)
def test_it_does_not_go_on_with_other_settings(manifest, encoder, out, changed, said):
    stop(manifest, encoder, out)
    with pytest.raises(CacheError) as caught:
        extract(manifest, encoder, out, replace(OPTIONS, **changed), Told())
    assert said in str(caught.value)
    assert "start anew with --overwrite" in str(caught.value)
    told = Told()
    extract(manifest, encoder, out, replace(OPTIONS, overwrite=True, **changed), told)
    assert told.started[0] == 0


def test_it_does_not_go_on_with_other_weights_or_processing(
    manifest, encoder, small_clip, out, tmp_path
):
    import shutil

    stop(manifest, encoder, out)
    other = shutil.copytree(small_clip, tmp_path / "other")
    path = other / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"resample": 2}))
    with pytest.raises(CacheError, match=r"image_processor\.configuration\.resample was 3, now 2"):
        extract(manifest, load_encoder(EncoderSpec(str(other), device="cpu")), out, OPTIONS, Told())


def test_it_goes_on_with_other_prompts(manifest, encoder, out):
    """They are embedded anew each time and touch no feature."""
    stop(manifest, encoder, out)
    told = Told()
    extract(manifest, encoder, out, replace(OPTIONS, templates="imagenet"), told)
    assert "resuming at row 16" in told.lines
    assert read_cache(out).provenance["templates"] == "imagenet"


def test_a_finished_cache_is_replaced_only_when_asked(manifest, encoder, out):
    extract(manifest, encoder, out, OPTIONS, Told())
    before = out.read_bytes()
    with pytest.raises(CacheError) as caught:
        extract(manifest, encoder, out, OPTIONS, Told())
    assert str(caught.value) == (
        f"{out}: the file exists; replace it with --overwrite or name another"
    )
    assert out.read_bytes() == before
    extract(manifest, encoder, out, replace(OPTIONS, overwrite=True), Told())
    assert read_cache(out).valid.all()


def test_a_feature_that_half_precision_cannot_hold_is_an_error(manifest, small_clip, out, tmp_path):
    import shutil

    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(small_clip, tmp_path / "large")
    weights = load_file(folder / "model.safetensors")
    weights["vision_model.post_layernorm.bias"] += 70_000
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    large = load_encoder(EncoderSpec(str(folder), device="cpu"))
    with pytest.raises(CacheError, match="float16"):
        extract(manifest, large, out, OPTIONS, Told())
    extract(manifest, large, out, replace(OPTIONS, features_dtype="float32"), Told())


def test_a_prompt_that_is_too_long_is_found_before_the_first_image(manifest, encoder, out):
    long = replace(manifest, class_prompts=(("cat",), ("x" * 100 + ".",)))
    told = Told()
    with pytest.raises(ExtractError, match=r"^the prompt 'xxx.*' has 103 tokens"):
        extract(long, encoder, out, OPTIONS, told)
    assert told.lines == []
    assert not list(out.parent.glob("photos.h5*"))


class OutOfMemoryAt:
    """An encoder whose memory holds only `holds` images from its n-th launch on."""

    def __init__(self, encoder, launches: int, holds: int):
        self.encoder, self.left, self.holds = encoder, launches, holds

    def __getattr__(self, name):
        return getattr(self.encoder, name)

    def launch(self, pixels):
        self.left -= 1
        if self.left < 0 and len(pixels) > self.holds:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.encoder.launch(pixels)


def test_out_of_memory_goes_on_in_smaller_batches_and_the_file_says_so(
    manifest, encoder, out, tmp_path
):
    whole, told = tmp_path / "whole.h5", Told()
    options = replace(OPTIONS, features_dtype="float32")
    extract(manifest, encoder, whole, options, Told())
    extract(manifest, OutOfMemoryAt(encoder, 2, holds=3), out, options, told)
    found, expected = read_cache(out), read_cache(whole)
    assert [line for line in told.lines if "memory" in line] == [
        "out of GPU memory with batches of 8: going on with 4",
        "out of GPU memory with batches of 4: going on with 2",
    ]
    assert found.provenance["batch_size_halved"] == [[16, 2]]
    assert found.provenance["batch_size"] == 8
    assert "batch_size_halved" not in expected.provenance
    np.testing.assert_array_equal(found.features[:16], expected.features[:16])
    np.testing.assert_allclose(found.features, expected.features, rtol=1e-5, atol=1e-5)


def test_the_smaller_batches_outlive_an_interruption(manifest, encoder, out):
    narrow = OutOfMemoryAt(encoder, 1, holds=4)
    stop(manifest, narrow, out, after=2)
    told, watched = Told(), OutOfMemoryAt(encoder, 0, holds=4)
    extract(manifest, watched, out, replace(OPTIONS, batch_size=None), told)
    assert not any("memory" in line for line in told.lines)
    assert read_cache(out).provenance["batch_size_halved"] == [[8, 4]]


def test_a_batch_size_that_is_left_open_is_that_of_the_begun_job(manifest, encoder, out, tmp_path):
    stop(manifest, encoder, out)
    told = Told()
    extract(manifest, encoder, out, replace(OPTIONS, batch_size=None), told)
    assert "resuming at row 16" in told.lines
    assert read_cache(out).provenance["batch_size"] == 8
    new = tmp_path / "new.h5"
    extract(manifest, encoder, new, replace(OPTIONS, batch_size=None), Told())
    assert read_cache(new).provenance["batch_size"] == CPU_SIZE


@pytest.mark.parametrize(("dtype", "bound"), [("float32", 1e-5), ("bfloat16", 2**-5)])
def test_the_batch_size_touches_features_by_rounding_alone(
    manifest, small_clip, tmp_path, dtype, bound
):
    """Relative to the largest feature: some units in the last place, of which bfloat16 has 2^-8."""
    encoder = load_encoder(EncoderSpec(str(small_clip), device="cpu", dtype=dtype))
    found = []
    for size in (1, 7, 40):
        out = tmp_path / f"{size}.h5"
        extract(manifest, encoder, out, replace(OPTIONS, batch_size=size), Told())
        found.append(read_cache(out).features.astype(np.float32))
    scale = np.abs(found[0]).max()
    # What float16 adds as it is stored.
    stored = 2**-11
    assert max(np.abs(found[0] - each).max() for each in found) <= (bound + stored) * scale


class OnGpu:
    """An encoder that seems to be on a GPU, and notes when what is launched and fetched."""

    device = SimpleNamespace(type="cuda")

    def __init__(self, encoder):
        self.encoder, self.done = encoder, []

    def __getattr__(self, name):
        return getattr(self.encoder, name)

    def launch(self, pixels):
        number = sum(what.startswith("launch") for what in self.done)
        self.done.append(f"launch {number}")
        fetch = self.encoder.launch(pixels)

        def noted():
            self.done.append(f"fetch {number}")
            return fetch()

        return noted


@pytest.fixture
def gpu(encoder, monkeypatch) -> OnGpu:
    found = OnGpu(encoder)

    def unpinned(*args, pinned):
        found.pinned = pinned
        return batches(*args)

    monkeypatch.setattr("clip_cfr.extract.engines.local.batches", unpinned)
    return found


def test_on_a_gpu_a_batch_is_fetched_once_the_next_is_launched(
    manifest, encoder, gpu, out, tmp_path
):
    whole = tmp_path / "whole.h5"
    extract(manifest, encoder, whole, OPTIONS, Told())
    extract(manifest, gpu, out, OPTIONS, Told())
    assert gpu.pinned
    assert gpu.done == [
        *("launch 0", "launch 1", "fetch 0", "launch 2", "fetch 1"),
        *("launch 3", "fetch 2", "launch 4", "fetch 3", "fetch 4"),
    ]
    assert verify_cache(out) == verify_cache(whole)


def test_on_a_gpu_all_before_an_unreadable_image_is_kept(manifest, gpu, photos, out):
    (photos / "0021.png").write_bytes(b"")
    with pytest.raises(ExtractError, match=r"\(the 16 rows before are kept\)$"):
        extract(manifest, gpu, out, OPTIONS, Told())
