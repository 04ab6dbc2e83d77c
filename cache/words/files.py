"""Write and read words files (see WORDS.md)."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from clip_cfr.cache.errors import FieldError, error_context
from clip_cfr.cache.files.atomic import make_write_error, replace_file, temporary_path
from clip_cfr.cache.format.encoding import decode_vocabulary, encode_vocabulary, metadata_digest
from clip_cfr.cache.format.invariants import check_vocabulary
from clip_cfr.cache.format.kinds import WORDS
from clip_cfr.cache.format.layout import FIELDS, VOCABULARY_PREFIX, check_fields
from clip_cfr.cache.format.nested import load_json
from clip_cfr.cache.read.hdf5_file import check_storage, find_dataset, open_hdf5, read_text
from clip_cfr.cache.read.reader import read_array
from clip_cfr.cache.words.words import Words
from clip_cfr.cache.write.hdf5_file import create_file, write_field, write_kind, write_text
from clip_cfr.cache.write.output import check_replaceable, reserve_output

# The arrays of a words file are those of a vocabulary in a cache, without the prefix.
WORDS_FIELDS = tuple(
    field.without_prefix(VOCABULARY_PREFIX)
    for field in FIELDS
    if field.name.startswith(VOCABULARY_PREFIX)
)
# Entries that identify the model.
REQUIRED = ("model", "projection_sha256")


def write_words(
    path: str | Path,
    words: Words,
    overwrite: bool = False,
    inputs: Iterable[Path | None] = (),
) -> None:
    """Write a words file atomically: the file is complete, or as it was before.

    Args:
        path: the file to write; if it is a symbolic link, its target.
        words: the contents.
        overwrite: whether to replace a words file. A file of another kind is never replaced.
        inputs: files that the contents are from, none of which may be the output.

    Raises:
        OutputError: the output is one of the inputs.
        CacheError: the contents break a rule of the format, the file exists and may not be
            replaced, another process writes it, or it cannot be written.
    """
    with reserve_output(Path(path), overwrite, inputs, WORDS) as target:
        temporary = temporary_path(target)
        try:
            with error_context(target, "nothing was written"):
                _write_file(temporary, words)
            check_replaceable(target, overwrite, WORDS)
            replace_file(temporary, target)
        except OSError as error:
            raise make_write_error(target, error) from error
        finally:
            temporary.unlink(missing_ok=True)


def read_words(path: str | Path) -> Words:
    """Return the contents of a words file, after checking every rule of the format.

    Raises:
        CacheError: the file is missing, damaged, not a words file, or breaks a rule of the format.
    """
    with open_hdf5(Path(path), WORDS) as file:
        provenance = _read_provenance(file)
        found = {field.name: find_dataset(file, field.name) for field in WORDS_FIELDS}
        fields = {name: data for name, data in found.items() if data is not None}
        check_fields(WORDS_FIELDS, fields, {})
        for name, data in fields.items():
            check_storage(name, data)
        vocabulary = decode_vocabulary({name: read_array(name, fields[name]) for name in fields})
        check_vocabulary(vocabulary)
    return Words(vocabulary.words, vocabulary.embeddings, vocabulary.templates, provenance)


def read_words_info(path: str | Path) -> dict[str, Any]:
    """Return the summary of a words file that `info --json` prints, as JSON values.

    It has `words_file` (the path), `version`, `sha256` (of the stored digests), `bytes`, `words`
    (their number), `dim` (the width of the embeddings), `templates` and `provenance`.

    Raises:
        CacheError: as in `read_words`.
    """
    path, words = Path(path), read_words(path)
    return {
        "words_file": str(path),
        "version": WORDS.version,
        "sha256": _content_digest(read_word_digests(path)),
        "bytes": path.stat().st_size,
        "words": len(words.words),
        "dim": words.embeddings.shape[1],
        "templates": list(words.templates),
        "provenance": words.provenance,
    }


def read_word_digests(path: str | Path) -> dict[str, str]:
    """Return the hex SHA-256 of each array of a words file, after checking the whole file.

    Raises:
        CacheError: as in `read_words`.
    """
    read_words(path)
    with open_hdf5(Path(path), WORDS) as file:
        return {field.name: read_text(file[field.name], "sha256") for field in WORDS_FIELDS}


def _content_digest(digests: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()


def _write_file(path: Path, words: Words) -> None:
    fields = encode_vocabulary(words.vocabulary)
    check_fields(WORDS_FIELDS, fields, {})
    check_vocabulary(words.vocabulary)
    metadata = {"provenance": json.dumps(words.provenance, allow_nan=False)}
    _check_model(words.provenance)
    with create_file(path) as (file, _):
        write_kind(file, WORDS)
        write_text(file, "provenance", metadata["provenance"])
        write_text(file, "metadata_sha256", metadata_digest(metadata))
        for name, array in fields.items():
            write_field(file, name, np.ascontiguousarray(array))


def _read_provenance(file: h5py.File) -> dict[str, Any]:
    text = read_text(file, "provenance")
    expected, found = read_text(file, "metadata_sha256"), metadata_digest({"provenance": text})
    if found != expected:
        raise FieldError("root attributes", f"SHA-256 {expected}", found)
    try:
        provenance = load_json(text)
    except ValueError as error:
        raise FieldError("provenance", "JSON", text[:80]) from error
    _check_model(provenance)
    return provenance


def _check_model(provenance: Any) -> None:
    """Raise FieldError unless a provenance is an object that names model and projection."""
    if not isinstance(provenance, dict):
        raise FieldError("provenance", "a JSON object", repr(provenance)[:80])
    for name in REQUIRED:
        if not isinstance(provenance.get(name), str):
            raise FieldError(f"provenance, {name}", "a text", repr(provenance.get(name)))
