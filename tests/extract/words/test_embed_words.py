"""The command words, and the function behind it, with small models."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import clip_cfr
from clip_cfr.cache.read.reader import read_cache
from clip_cfr.cache.words.files import read_words
from clip_cfr.cache.words.words import check_same_model, words_of_cache
from clip_cfr.cache.write.writer import write_cache
from clip_cfr.cli import main
from clip_cfr.extract.datasets import load_dataset
from clip_cfr.extract.datasets.common.options import DatasetOptions
from clip_cfr.extract.options import ExtractOptions
from clip_cfr.extract.run import embed_default_words, extract_manifest
from clip_cfr.extract.words.embed import embed_vocabulary
from tests.cache.examples import assert_identical
from tests.extract.extraction import RecordingReporter
from tests.samples import save_photos

TINY_CLIP = Path(clip_cfr.__path__[0]) / "extract" / "tiny_clip"


@pytest.fixture(scope="module")
def cache(tmp_path_factory, encoder) -> Path:
    """A cache of the small CLIP, with the short vocabulary."""
    folder = tmp_path_factory.mktemp("cache")
    manifest = load_dataset("folder", save_photos(folder / "photos", 20), DatasetOptions())
    options = ExtractOptions(templates="simple", workers=0)
    extract_manifest(manifest, encoder, folder / "cache.h5", options)
    return folder / "cache.h5"


def run(*arguments: object, code: int = 0):
    """Run the command words, and check its exit code."""
    words = ["words", "--device", "cpu", *map(str, arguments)]
    result = CliRunner().invoke(main, words, prog_name="clip-cfr")
    assert result.exit_code == code, result.output
    return result


def test_a_word_is_the_unit_length_mean_of_its_templates(encoder):
    found = embed_vocabulary(encoder, ["a long phrase", "cat", "A dog."], ["{}", "no {}"])
    for row, sentences in enumerate(
        (["a long phrase", "no a long phrase"], ["cat", "no cat"], ["A dog."])
    ):
        mean = encoder.embed_texts(sentences).mean(axis=0)
        expected = mean / np.linalg.norm(mean)
        np.testing.assert_allclose(found.embeddings[row], expected, atol=1e-5)
    assert found.embeddings.dtype == np.float32


def test_extraction_stores_the_words_and_nothing_else_changes(cache, encoder, tmp_path):
    manifest = load_dataset("folder", cache.parent / "photos", DatasetOptions())
    options = ExtractOptions(templates="simple", workers=0, words=False)
    extract_manifest(manifest, encoder, tmp_path / "plain.h5", options)
    with_words, plain = read_cache(cache), read_cache(tmp_path / "plain.h5")
    assert with_words.vocabulary.words == ("on water", "on land")
    assert plain.vocabulary is None
    created = {"created": plain.provenance["created"]}
    provenance = with_words.provenance | created
    assert_identical(replace(with_words, vocabulary=None, provenance=provenance), plain)


def test_words_of_the_model_of_a_cache(cache, tmp_path):
    out = tmp_path / "words.h5"
    shown = run("--cache", cache, "--word", "on water", "--word", "on land", "--out", out, "--json")
    info = json.loads(shown.stdout)
    assert (info["words"], info["dim"]) == (2, 16)
    words, contents = read_words(out), read_cache(cache)
    check_same_model(words, out, contents, cache)
    stored = words_of_cache(contents)
    np.testing.assert_allclose(words.embeddings, stored.embeddings, atol=1e-6)
    assert stored.provenance.items() <= words.provenance.items()


def test_words_of_another_model_are_refused(cache, tmp_path):
    result = run("--cache", cache, "--model", TINY_CLIP, "--out", tmp_path / "words.h5", code=1)
    error = result.stderr.splitlines()[-1]
    assert error.startswith(f"Error: {cache}: expected its model, ")
    assert f"found {TINY_CLIP} (weights " in error
    assert "the embeddings have 64 and 16 columns; name the folder" in error
    assert not (tmp_path / "words.h5").exists()


def test_an_imported_cache_names_no_model(cache, tmp_path):
    imported = tmp_path / "imported.h5"
    contents = read_cache(cache)
    write_cache(imported, replace(contents, provenance={"model": "imported", "created": "now"}))
    error = run("--cache", imported, "--out", tmp_path / "words.h5", code=2).stderr
    assert "its features were imported and name no model; give the model" in error


def test_the_default_vocabulary_is_embedded_by_the_tiny_clip(tmp_path, monkeypatch):
    default = TINY_CLIP.parent / "words" / "default_vocabulary.txt"
    monkeypatch.setattr("clip_cfr.extract.words.vocabulary.DEFAULT_PATH", default)
    result = run("--model", TINY_CLIP, "--out", tmp_path / "words.h5")
    assert "embedding 1,666 words in 2 templates" in result.stderr
    assert read_words(tmp_path / "words.h5").embeddings.shape == (1666, 64)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "give the model with --model, or a cache of that model with --cache"),
        (["--words", "w.txt", "--word", "a"], 2, "--words and --word exclude each other"),
        (["--model", TINY_CLIP, "--word", "a " * 90], 1, "takes 77: shorten it"),
        (["--model", TINY_CLIP, "--template", "photo"], 2, "lacks the placeholder {}"),
    ],
)
def test_wrong_options_are_explained(tmp_path, arguments, code, message):
    result = run(*arguments, "--out", tmp_path / "words.h5", code=code)
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_text_tower_that_is_too_short_stores_no_words(encoder, short_vocabulary):
    reporter = RecordingReporter()
    text = short_vocabulary.read_text()
    try:
        short_vocabulary.write_text("long " * 90)
        assert embed_default_words(encoder, reporter) is None
    finally:
        short_vocabulary.write_text(text)
    assert reporter.lines[0] == "embedding 1 word"
    assert reporter.lines[1].startswith("no words are stored: the prompt 'long long")
