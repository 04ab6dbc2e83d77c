import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from clip_cfr.cache.class_prompts import list_prompt_sets, use_prompt_set
from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.read.reader import read_cache, verify_cache
from clip_cfr.extract.datasets import load_dataset
from clip_cfr.extract.datasets.common.options import DatasetOptions
from clip_cfr.extract.encoders.load import load_encoder
from clip_cfr.extract.encoders.spec import EncoderSpec
from clip_cfr.extract.engines.batch_size import CPU_BATCH_SIZE
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.images.batches import load_batches
from clip_cfr.extract.images.decode import REMEDY
from clip_cfr.extract.images.read import PixelReader
from clip_cfr.extract.manifest.limit import limit_rows
from clip_cfr.extract.manifest.manifest import Manifest, Sentence
from clip_cfr.extract.options import ExtractOptions
from clip_cfr.extract.run import extract_manifest
from tests.extract.extraction import RecordingReporter, interrupt_extraction
from tests.samples import save_photos

NUM_PHOTOS = 40
OPTIONS = ExtractOptions(batch_size=8, templates="simple", words=False)


@pytest.fixture
def photos(tmp_path):
    return save_photos(tmp_path / "photos", NUM_PHOTOS)


@pytest.fixture
def manifest(photos) -> Manifest:
    return load_dataset("folder", photos, DatasetOptions())


@pytest.fixture
def out(tmp_path):
    return tmp_path / "photos.h5"


def test_the_cache_holds_all_rows_in_order(manifest, encoder, out):
    reporter = RecordingReporter()
    summary = extract_manifest(manifest, encoder, out, OPTIONS, reporter=reporter)
    cache = read_cache(out)
    assert cache.rows.ids == manifest.rows.ids
    for column in ("labels", "attributes", "splits"):
        np.testing.assert_array_equal(getattr(cache.rows, column), getattr(manifest.rows, column))
    assert cache.valid.all()
    reader = PixelReader(manifest.images, encoder.preprocessing)
    pixels, _ = reader.read(list(enumerate(manifest.rows.ids)))
    np.testing.assert_allclose(cache.features, encoder.encode(pixels), rtol=1e-3)
    np.testing.assert_array_equal(cache.head.projection, encoder.head().projection)
    assert (reporter.started, reporter.saved) == ((0, NUM_PHOTOS), [8] * 5)
    assert summary.rows == {"train": 24, "val": 8, "test": 8}
    assert (summary.unreadable, summary.resumed_at, summary.warnings) == ((), 0, ())


def test_the_prompts_are_embedded_by_the_text_tower(manifest, encoder, out):
    extract_manifest(manifest, encoder, out, OPTIONS)
    texts = read_cache(out).texts
    assert texts.class_prompts == (("a photo of a cat.",), ("a photo of a dog.",))
    expected = encoder.embed_texts(["a photo of a cat.", "a photo of a dog."])
    np.testing.assert_allclose(texts.class_embeddings, expected, rtol=1e-6)
    assert list_prompt_sets(read_cache(out)) == ("name", "simple", "imagenet")
    names = use_prompt_set(read_cache(out), "name")
    assert names.class_prompts == (("cat",), ("dog",))
    expected = encoder.embed_texts(["cat", "dog"])
    np.testing.assert_allclose(names.class_embeddings, expected, rtol=1e-5)
    many = use_prompt_set(read_cache(out), "imagenet")
    assert [len(each) for each in many.class_prompts] == [80, 80]
    expected = encoder.embed_texts(["a photo of a in.", "a photo of a out."])
    np.testing.assert_allclose(texts.attribute_embeddings, expected, rtol=1e-6)


def test_the_provenance_records_model_data_set_and_settings(manifest, encoder, out):
    extract_manifest(manifest, encoder, out, OPTIONS)
    provenance = read_cache(out).provenance
    created = datetime.fromisoformat(provenance.pop("created"))
    assert abs((datetime.now(UTC) - created).total_seconds()) < 60
    assert provenance == encoder.provenance() | {
        "manifest_sha256": manifest.sha256(),
        "limit": None,
        "batch_size": 8,
        "templates": "simple",
    }


def test_drawn_splits_are_recorded_and_change_no_unfinished_job(manifest, encoder, out):
    interrupt_extraction(manifest, encoder, out, OPTIONS, after=2)
    drawn = replace(manifest, drawn_splits=("val",))
    assert extract_manifest(drawn, encoder, out, OPTIONS).resumed_at == 16
    assert read_cache(out).provenance["drawn_splits"] == ["val"]


def test_the_storage_type_of_features_is_an_option(manifest, encoder, tmp_path):
    half, full = tmp_path / "half.h5", tmp_path / "full.h5"
    extract_manifest(manifest, encoder, half, OPTIONS)
    extract_manifest(manifest, encoder, full, replace(OPTIONS, features_dtype="float32"))
    np.testing.assert_array_equal(
        read_cache(full).features.astype(np.float16), read_cache(half).features
    )


def test_features_do_not_depend_on_the_number_of_workers(manifest, encoder, tmp_path):
    one, many = tmp_path / "one.h5", tmp_path / "many.h5"
    extract_manifest(manifest, encoder, one, replace(OPTIONS, workers=0))
    extract_manifest(manifest, encoder, many, replace(OPTIONS, workers=3))
    assert verify_cache(one) == verify_cache(many)


@pytest.mark.parametrize("after", [1, 2, 4])
def test_a_resumed_extraction_gives_the_same_bits(manifest, encoder, out, tmp_path, after):
    whole = tmp_path / "whole.h5"
    extract_manifest(manifest, encoder, whole, OPTIONS)
    interrupt_extraction(manifest, encoder, out, OPTIONS, after)
    reporter = RecordingReporter()
    summary = extract_manifest(manifest, encoder, out, OPTIONS, reporter=reporter)
    assert reporter.lines[-1] == f"resuming at row {8 * after}"
    assert reporter.started == (8 * after, NUM_PHOTOS)
    assert summary.resumed_at == 8 * after
    assert verify_cache(out) == verify_cache(whole)


def test_an_unreadable_image_raises_and_names_it(manifest, encoder, photos, out, tmp_path):
    whole = tmp_path / "whole.h5"
    extract_manifest(manifest, encoder, whole, OPTIONS)
    good = (photos / "0021.png").read_bytes()
    (photos / "0021.png").write_bytes(b"")
    with pytest.raises(ExtractError) as caught:
        extract_manifest(manifest, encoder, out, OPTIONS)
    assert str(caught.value) == (
        f"0021.png: the file is empty; {REMEDY} (the 16 rows before are kept)"
    )
    (photos / "0021.png").write_bytes(good)
    reporter = RecordingReporter()
    extract_manifest(manifest, encoder, out, OPTIONS, reporter=reporter)
    assert "resuming at row 16" in reporter.lines
    assert verify_cache(out) == verify_cache(whole)


def test_skipping_an_image_keeps_its_row_and_the_bits_of_the_others(
    manifest, encoder, photos, out, tmp_path
):
    whole = tmp_path / "whole.h5"
    extract_manifest(manifest, encoder, whole, OPTIONS)
    (photos / "0021.png").write_bytes(b"no image")
    (photos / "0022.png").unlink()
    reporter = RecordingReporter()
    summary = extract_manifest(
        manifest, encoder, out, replace(OPTIONS, skip_unreadable=True), reporter=reporter
    )
    cache, untouched = read_cache(out), read_cache(whole).features
    bad = np.isin(np.arange(NUM_PHOTOS), [21, 22])
    np.testing.assert_array_equal(cache.valid, ~bad)
    assert not cache.features[bad].any()
    np.testing.assert_array_equal(cache.features[~bad], untouched[~bad])
    assert cache.rows.ids == manifest.rows.ids
    assert summary.unreadable == ("0021.png", "0022.png")
    assert reporter.lines[1] == (
        "skipped: 0021.png: the file is text instead of an image; download the image again (it "
        "begins with b'no image')"
    )
    assert reporter.lines[2].startswith("skipped: 0022.png: the file cannot be read (No such file")
    assert summary.warnings == ("split train: 2 of 24 images could not be read",)
    assert reporter.lines[3:] == ["warning: split train: 2 of 24 images could not be read"]


def test_a_failed_extraction_resumes_with_skip(manifest, encoder, photos, out):
    (photos / "0021.png").write_bytes(b"")
    with pytest.raises(ExtractError):
        extract_manifest(manifest, encoder, out, OPTIONS)
    reporter = RecordingReporter()
    summary = extract_manifest(
        manifest, encoder, out, replace(OPTIONS, skip_unreadable=True), reporter=reporter
    )
    assert "resuming at row 16" in reporter.lines
    assert summary.unreadable == ("0021.png",)


def test_the_summary_lists_unreadable_rows_of_earlier_runs(manifest, encoder, photos, out):
    skipping = replace(OPTIONS, skip_unreadable=True)
    (photos / "0003.png").write_bytes(b"")
    interrupt_extraction(manifest, encoder, out, skipping)
    assert extract_manifest(manifest, encoder, out, skipping).unreadable == ("0003.png",)


def test_warns_of_a_split_without_readable_images(manifest, encoder, photos, out):
    for row in np.flatnonzero(manifest.rows.splits == 1):
        (photos / manifest.rows.ids[row]).write_bytes(b"")
    summary = extract_manifest(manifest, encoder, out, replace(OPTIONS, skip_unreadable=True))
    assert summary.warnings == ("split val: none of its 8 images could be read",)


def test_warnings_of_the_loader_come_first(manifest, encoder, out):
    reporter = RecordingReporter()
    noticed = replace(manifest, warnings=("fewer rows than published",))
    summary = extract_manifest(noticed, encoder, out, OPTIONS, reporter=reporter)
    assert reporter.lines[0] == "warning: fewer rows than published"
    assert summary.warnings == ("fewer rows than published",)


def test_limit_takes_rows_of_every_split_and_group(manifest, encoder, out, tmp_path):
    whole = tmp_path / "whole.h5"
    extract_manifest(manifest, encoder, whole, OPTIONS)
    extract_manifest(manifest, encoder, out, replace(OPTIONS, limit=12))
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
def test_limit_is_proportional_with_at_least_one_row_per_cell(manifest, limit, expected):
    assert np.bincount(limit_rows(manifest, limit).rows.splits).tolist() == expected


def test_limit_above_the_number_of_rows_takes_all(manifest, encoder, out):
    extract_manifest(manifest, encoder, out, replace(OPTIONS, limit=NUM_PHOTOS + 1))
    assert read_cache(out).rows.ids == manifest.rows.ids


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"batch_size": 4}, "batch_size was 8, now 4"),
        ({"features_dtype": "float32"}, 'dtype was "float16", now "float32"'),
        ({"limit": 12}, "limit was null, now 12"),
    ],
)
def test_other_settings_do_not_resume(manifest, encoder, out, changed, said):
    interrupt_extraction(manifest, encoder, out, OPTIONS)
    with pytest.raises(CacheError) as caught:
        extract_manifest(manifest, encoder, out, replace(OPTIONS, **changed))
    assert said in str(caught.value)
    assert "start again with --overwrite" in str(caught.value)
    reporter = RecordingReporter()
    extract_manifest(
        manifest, encoder, out, replace(OPTIONS, overwrite=True, **changed), reporter=reporter
    )
    assert reporter.started[0] == 0


def test_another_preprocessing_does_not_resume(manifest, encoder, small_clip, out, tmp_path):
    interrupt_extraction(manifest, encoder, out, OPTIONS)
    other = shutil.copytree(small_clip, tmp_path / "other")
    path = other / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"resample": 2}))
    with pytest.raises(CacheError, match=r"image_processor\.configuration\.resample was 3, now 2"):
        extract_manifest(
            manifest, load_encoder(EncoderSpec(str(other), device="cpu")), out, OPTIONS
        )


def test_other_prompts_resume(manifest, encoder, out):
    """Each run embeds the prompts again; features do not depend on them."""
    interrupt_extraction(manifest, encoder, out, OPTIONS)
    reporter = RecordingReporter()
    extract_manifest(
        manifest, encoder, out, replace(OPTIONS, templates="imagenet"), reporter=reporter
    )
    assert "resuming at row 16" in reporter.lines
    assert read_cache(out).provenance["templates"] == "imagenet"


def test_a_finished_cache_is_replaced_only_with_overwrite(manifest, encoder, out):
    extract_manifest(manifest, encoder, out, OPTIONS)
    before = out.read_bytes()
    with pytest.raises(CacheError) as caught:
        extract_manifest(manifest, encoder, out, OPTIONS)
    assert str(caught.value) == (
        f"{out}: the file exists; replace it with --overwrite or name another"
    )
    assert out.read_bytes() == before
    extract_manifest(manifest, encoder, out, replace(OPTIONS, overwrite=True))
    assert read_cache(out).valid.all()


def test_a_feature_beyond_float16_is_an_error(manifest, small_clip, out, tmp_path):
    folder = shutil.copytree(small_clip, tmp_path / "large")
    weights = load_file(folder / "model.safetensors")
    weights["vision_model.post_layernorm.bias"] += 70_000
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    large = load_encoder(EncoderSpec(str(folder), device="cpu"))
    with pytest.raises(CacheError, match="float16"):
        extract_manifest(manifest, large, out, OPTIONS)
    extract_manifest(manifest, large, out, replace(OPTIONS, features_dtype="float32"))


def test_a_prompt_that_is_too_long_is_reported_before_the_first_image(manifest, encoder, out):
    long = replace(manifest, class_prompts=(("cat",), (Sentence("x" * 100 + "."),)))
    reporter = RecordingReporter()
    with pytest.raises(ExtractError, match=r"^the prompt 'xxx.*' has 103 tokens"):
        extract_manifest(long, encoder, out, OPTIONS, reporter=reporter)
    assert reporter.lines == []
    assert not list(out.parent.glob("photos.h5*"))


class OutOfMemoryAt:
    """An encoder whose memory holds at most `holds` images after the first `launches`."""

    def __init__(self, encoder, launches: int, holds: int):
        self.encoder, self.launches, self.holds = encoder, launches, holds

    def __getattr__(self, name):
        return getattr(self.encoder, name)

    def launch(self, pixels):
        self.launches -= 1
        if self.launches < 0 and len(pixels) > self.holds:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.encoder.launch(pixels)


def test_out_of_memory_halves_the_batches_and_is_recorded(manifest, encoder, out, tmp_path):
    whole, reporter = tmp_path / "whole.h5", RecordingReporter()
    options = replace(OPTIONS, features_dtype="float32")
    extract_manifest(manifest, encoder, whole, options)
    extract_manifest(manifest, OutOfMemoryAt(encoder, 2, holds=3), out, options, reporter=reporter)
    found, expected = read_cache(out), read_cache(whole)
    assert [line for line in reporter.lines if "memory" in line] == [
        "out of GPU memory with batches of 8: continuing with 4",
        "out of GPU memory with batches of 4: continuing with 2",
    ]
    assert found.provenance["batch_size_halved"] == [[16, 2]]
    assert found.provenance["batch_size"] == 8
    assert "batch_size_halved" not in expected.provenance
    np.testing.assert_array_equal(found.features[:16], expected.features[:16])
    np.testing.assert_allclose(found.features, expected.features, rtol=1e-5, atol=1e-5)


def test_a_resumed_extraction_keeps_the_halved_batches(manifest, encoder, out):
    narrow = OutOfMemoryAt(encoder, 1, holds=4)
    interrupt_extraction(manifest, narrow, out, OPTIONS)
    reporter, narrow = RecordingReporter(), OutOfMemoryAt(encoder, 0, holds=4)
    extract_manifest(manifest, narrow, out, replace(OPTIONS, batch_size=None), reporter=reporter)
    assert not any("memory" in line for line in reporter.lines)
    assert read_cache(out).provenance["batch_size_halved"] == [[8, 4]]


def test_the_default_batch_size_is_that_of_the_unfinished_job(manifest, encoder, out, tmp_path):
    interrupt_extraction(manifest, encoder, out, OPTIONS)
    reporter = RecordingReporter()
    extract_manifest(manifest, encoder, out, replace(OPTIONS, batch_size=None), reporter=reporter)
    assert "resuming at row 16" in reporter.lines
    assert read_cache(out).provenance["batch_size"] == 8
    new = tmp_path / "new.h5"
    extract_manifest(manifest, encoder, new, replace(OPTIONS, batch_size=None))
    assert read_cache(new).provenance["batch_size"] == CPU_BATCH_SIZE


@pytest.mark.parametrize(("dtype", "bound"), [("float32", 1e-5), ("bfloat16", 2**-5)])
def test_the_batch_size_changes_features_by_rounding_only(
    manifest, small_clip, tmp_path, dtype, bound
):
    """By a few units in the last place, relative to the largest feature; 2^-8 in bfloat16."""
    encoder = load_encoder(EncoderSpec(str(small_clip), device="cpu", dtype=dtype))
    found = []
    for size in (1, 7, 40):
        out = tmp_path / f"{size}.h5"
        extract_manifest(manifest, encoder, out, replace(OPTIONS, batch_size=size))
        found.append(read_cache(out).features.astype(np.float32))
    storage_rounding = 2**-11  # float16
    largest = np.abs(found[0]).max()
    for features in found[1:]:
        difference = np.abs(found[0] - features).max()
        assert difference <= (bound + storage_rounding) * largest


class FakeGpuEncoder:
    """An encoder that claims to be on a GPU, and records launches and fetches."""

    device = SimpleNamespace(type="cuda")

    def __init__(self, encoder):
        self.encoder, self.events, self.num_launches = encoder, [], 0

    def __getattr__(self, name):
        return getattr(self.encoder, name)

    def launch(self, pixels):
        index, self.num_launches = self.num_launches, self.num_launches + 1
        self.events.append(f"launch {index}")
        fetch = self.encoder.launch(pixels)

        def record_fetch():
            self.events.append(f"fetch {index}")
            return fetch()

        return record_fetch


@pytest.fixture
def gpu(encoder, monkeypatch) -> FakeGpuEncoder:
    fake = FakeGpuEncoder(encoder)

    def load_without_pinning(*args, workers, pin_memory):
        fake.pin_memory = pin_memory
        return load_batches(*args, workers=workers)

    monkeypatch.setattr("clip_cfr.extract.engines.local.load_batches", load_without_pinning)
    return fake


def test_a_gpu_batch_is_fetched_after_the_next_is_launched(manifest, encoder, gpu, out, tmp_path):
    whole = tmp_path / "whole.h5"
    extract_manifest(manifest, encoder, whole, OPTIONS)
    extract_manifest(manifest, gpu, out, OPTIONS)
    assert gpu.pin_memory
    assert gpu.events == [
        *("launch 0", "launch 1", "fetch 0", "launch 2", "fetch 1"),
        *("launch 3", "fetch 2", "launch 4", "fetch 3", "fetch 4"),
    ]
    assert verify_cache(out) == verify_cache(whole)


def test_on_a_gpu_the_batches_before_an_unreadable_image_are_kept(manifest, gpu, photos, out):
    (photos / "0021.png").write_bytes(b"")
    with pytest.raises(ExtractError, match=r"\(the 16 rows before are kept\)$"):
        extract_manifest(manifest, gpu, out, OPTIONS)
