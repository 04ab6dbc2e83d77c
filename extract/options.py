"""Options of an extraction that concern neither the data set nor the model."""

from dataclasses import dataclass
from typing import Literal

from clip_cfr.extract.images.settings import DEFAULT_MAX_PIXELS


@dataclass(frozen=True)
class ExtractOptions:
    """Options of an extraction.

    Attributes:
        batch_size: rows that are encoded and saved together; None takes that of the unfinished job,
            else one that fits the device's memory.
        workers: processes that decode images, 0 for none beside this one; None chooses by device
            and decoding time.
        skip_unreadable: keep the row of an unreadable image and mark it as not valid; otherwise
            stop at it.
        features_dtype: storage type of the features, `float16` or `float32`.
        templates: prompt templates, a key of `clip_cfr.extract.prompts.templates.TEMPLATES`.
        words: store the embeddings of the default vocabulary in the cache.
        limit: extract at most this many rows, spread over splits and groups.
        shard: index (from 1) and count: extract only this one of `count` equal ranges of rows.
        overwrite: replace a finished file or discard an unfinished job.
        max_pixels: number of pixels above which an image is unreadable.
        bit_depth: number of bits that the pixels of 16-bit images use, from 8 to 16. `auto` and
            None take that of the unfinished job; without one, `auto` measures it on a sample, and
            None means 16.
    """

    batch_size: int | None = None
    workers: int | None = None
    skip_unreadable: bool = False
    features_dtype: str = "float16"
    templates: str = "imagenet"
    words: bool = True
    limit: int | None = None
    shard: tuple[int, int] | None = None
    overwrite: bool = False
    max_pixels: int = DEFAULT_MAX_PIXELS
    bit_depth: int | Literal["auto"] | None = None
