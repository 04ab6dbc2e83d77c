"""Check the values of a cache against the rules of the format (see FORMAT.md)."""

import numpy as np

from clip_cfr.cache.errors import FieldError
from clip_cfr.cache.format.identity import IdentityMatrix
from clip_cfr.cache.format.layout import VOCABULARY_PREFIX
from clip_cfr.cache.format.schema import (
    SPLIT_NAMES,
    FeatureCache,
    Head,
    OtherPrompts,
    Rows,
    Texts,
    Vocabulary,
)

# Far above the rounding error of a float32 sum over a few thousand numbers.
LENGTH_TOLERANCE = 1e-3
NAME_RULE = "a non-empty name without NUL characters"
FLOAT32 = np.finfo(np.float32)
# Largest magnitude of a feature: sums of squares and of products do not overflow in float32.
MAX_FEATURE = 1e15


def check_values(cache: FeatureCache) -> None:
    """Check all values except the features; types and shapes must already be checked.

    Raises:
        FieldError: a field breaks a rule; names the first such field, and its first row that does.
    """
    if not _is_storable(cache.dataset):
        raise FieldError("dataset", NAME_RULE, repr(cache.dataset))
    _check_rows(cache.rows, cache.texts)
    _check_head(cache.head)
    _check_texts(cache.texts)
    if cache.vocabulary is not None:
        check_vocabulary(cache.vocabulary, VOCABULARY_PREFIX)


def check_vocabulary(vocabulary: Vocabulary, prefix: str = "") -> None:
    """Check the values of a vocabulary; types and shapes must already be checked.

    Args:
        vocabulary: words, templates and embeddings.
        prefix: start of the names of its arrays in the file, for messages.

    Raises:
        FieldError: a field breaks a rule; names the first such field, and its first row that does.
    """
    _check_unique(f"{prefix}words", "words", vocabulary.words)
    _check_unique(f"{prefix}templates", "templates", vocabulary.templates)
    for row, template in enumerate(vocabulary.templates):
        if "{}" not in template:
            raise FieldError(f"{prefix}templates", "the placeholder {}", repr(template), row)
    _check_unit(f"{prefix}embeddings", vocabulary.embeddings)


def check_feature_block(block: np.ndarray, valid: np.ndarray, first_row: int) -> None:
    """Check that features are finite, at most `MAX_FEATURE` in magnitude, and zero in invalid rows.

    Args:
        block: features (b, dim) of consecutive rows.
        valid: (b,) bool; false for an image that could not be read.
        first_row: index of the first row in the cache, for the message.

    Raises:
        FieldError: a row breaks a rule; names the first row that breaks it and the value.
    """
    _require("features", np.isfinite(block).all(axis=1), "finite numbers", block, first_row)
    expected = f"magnitudes up to {MAX_FEATURE:g}"
    _require("features", find_moderate_rows(block), expected, block, first_row)
    good = valid.copy()
    good[~valid] = ~block[~valid].any(axis=1)
    _require("features", good, "zeros in an invalid row", block, first_row)


def find_moderate_rows(block: np.ndarray) -> np.ndarray:
    """Return for each row of features (b, dim) whether all magnitudes are at most `MAX_FEATURE`.

    Returns:
        (b,) bool: true for all rows of float16, false for a row with an infinite number or NaN.
    """
    if float(np.finfo(block.dtype).max) <= MAX_FEATURE:
        return np.ones(len(block), bool)
    return (np.abs(block) <= MAX_FEATURE).all(axis=1)


def _require(field: str, good: np.ndarray, expected: str, values: np.ndarray, first_row: int = 0):
    """Raise FieldError for the first row where `good` (rows,) is false."""
    bad = np.flatnonzero(~good)
    if bad.size:
        raise FieldError(field, expected, _describe(values[bad[0]]), first_row + int(bad[0]))


def _describe(value: np.ndarray) -> str:
    """Return a scalar, or the first entry of a vector that is not finite, or the largest one."""
    if value.ndim == 0:
        return str(value)
    unusual = np.flatnonzero(~np.isfinite(value))
    where = unusual if unusual.size else [np.abs(value).argmax()]
    return f"{value[where[0]]} in column {where[0]}"


def _check_rows(rows: Rows, texts: Texts) -> None:
    _check_unique("ids", "ids", rows.ids)
    _check_range("labels", rows.labels, len(texts.class_names))
    # If no attribute is known, all rows have attribute 0.
    _check_range("attributes", rows.attributes, max(1, len(texts.attribute_names)))
    _check_range("splits", rows.splits, len(SPLIT_NAMES))


def _check_range(field: str, values: np.ndarray, length: int) -> None:
    """Raise FieldError unless all values are in 0 to `length` - 1."""
    _require(field, (values >= 0) & (values < length), f"a value from 0 to {length - 1}", values)


def _check_unique(field: str, nouns: str, names: tuple[str, ...]) -> None:
    first_rows: dict[str, int] = {}
    for row, name in enumerate(names):
        first = first_rows.setdefault(name, row)
        if first != row:
            raise FieldError(
                field, f"unique {nouns}", f"{name!r}, which is also in row {first}", row
            )
        if not _is_storable(name):
            raise FieldError(field, NAME_RULE, repr(name), row)


def _is_storable(name: str) -> bool:
    """Return whether fixed-length text can store a name, which HDF5 pads with NUL characters."""
    return bool(name) and "\0" not in name


def _check_head(head: Head) -> None:
    if not isinstance(head.projection, IdentityMatrix):
        _check_finite("head/projection", head.projection)
    if head.bias is not None:
        _check_finite("head/bias", head.bias)
    if not FLOAT32.tiny <= head.logit_scale <= FLOAT32.max:
        raise FieldError("head/logit_scale", "a positive float32", head.logit_scale)


def _check_finite(field: str, values: np.ndarray) -> None:
    good = np.isfinite(values)
    _require(field, good if good.ndim == 1 else good.all(axis=1), "finite numbers", values)


def _check_texts(texts: Texts) -> None:
    _check_names("class", texts.class_names, texts.class_prompts)
    _check_names("attribute", texts.attribute_names, texts.attribute_prompts)
    _check_unit("text/class_embeddings", texts.class_embeddings)
    _check_unit("text/class_prompt_embeddings", texts.class_prompt_embeddings)
    if texts.attribute_embeddings is not None:
        _check_unit("text/attribute_embeddings", texts.attribute_embeddings)
    _check_means(texts)
    if texts.other_prompts is not None:
        _check_other_prompts(texts.other_prompts, len(texts.class_names))


def _check_names(kind: str, names: tuple[str, ...], prompts: tuple[tuple[str, ...], ...]) -> None:
    if len(set(names)) != len(names):
        raise FieldError(f"{kind}_names", "unique names", list(names))
    if len(prompts) not in (0, len(names)):
        found = f"prompts for {len(prompts)}"
        raise FieldError(f"{kind}_prompts", f"prompts for each of {len(names)} names", found)


def _check_unit(field: str, embeddings: np.ndarray) -> None:
    _check_finite(field, embeddings)
    lengths = np.linalg.norm(embeddings.astype(np.float64), axis=1)
    good = np.abs(lengths - 1) <= LENGTH_TOLERANCE
    _require(field, good, "a unit-length embedding", np.char.add("length ", lengths.astype(str)))


def _check_other_prompts(others: OtherPrompts, num_classes: int) -> None:
    """Check that every set has a sentence of every class, and that embeddings have unit length."""
    for field, texts in (("s", others.sentences), ("_sets", others.sets)):
        bad = [row for row, text in enumerate(texts) if not _is_storable(text)]
        if bad:
            raise FieldError(f"text/other_prompt{field}", NAME_RULE, repr(texts[bad[0]]), bad[0])
    _check_range("text/other_prompt_owners", others.owners, num_classes)
    _check_unit("text/other_prompt_embeddings", others.embeddings)
    owners = list(zip(others.sets, others.owners.tolist(), strict=True))
    for name in dict.fromkeys(others.sets):
        missing = set(range(num_classes)) - {owner for each, owner in owners if each == name}
        if missing:
            expected = f"a sentence of each class in the set {name!r}"
            raise FieldError("text/other_prompt_owners", expected, f"none of class {min(missing)}")


def _check_means(texts: Texts) -> None:
    """Check that class embeddings are the normalized means of their prompts' embeddings."""
    ends = np.cumsum([len(prompts) for prompts in texts.class_prompts])
    for row, (prompts, end) in enumerate(zip(texts.class_prompts, ends, strict=True)):
        if not prompts:
            continue
        mean = texts.class_prompt_embeddings[end - len(prompts) : end].mean(axis=0, dtype=float)
        offset = np.abs(texts.class_embeddings[row] * np.linalg.norm(mean) - mean).max()
        if offset > LENGTH_TOLERANCE:
            expected = "the normalized mean of the class's prompt embeddings"
            raise FieldError(
                "text/class_embeddings", expected, f"a difference of {offset:.3g}", row
            )
