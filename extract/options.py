"""Options of an extraction that concern neither the data set nor the model."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ExtractOptions:
    """Options of an extraction.

    Attributes:
        batch_size: rows that are encoded and saved together; None takes that of the unfinished
            job, else one that fits the device's memory.
        workers: processes that decode images, 0 for none beside this one; None chooses by device
            and decoding time.
        skip_unreadable: keep the row of an unreadable image and mark it as not valid; otherwise
            stop at it.
        features_dtype: storage type of the features, `float16` or `float32`.
        templates: prompt templates, a key of `clip_cfr.extract.prompts.templates.TEMPLATES`.
        limit: extract at most this many rows, spread over splits and groups.
        shard: index (from 1) and count: extract only this one of `count` equal segments of rows.
        overwrite: replace a finished file or discard an unfinished job.
    """

    batch_size: int | None = None
    workers: int | None = None
    skip_unreadable: bool = False
    features_dtype: str = "float16"
    templates: str = "imagenet"
    limit: int | None = None
    shard: tuple[int, int] | None = None
    overwrite: bool = False
