"""How to extract."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ExtractOptions:
    """How to extract.

    Attributes:
        batch_size: rows that are encoded together, and saved together; None takes that of the job
            that is gone on with, or what fits.
        workers: processes that read and decode images, 0 for none beside this one; None takes
            what suits the device.
        skip_unreadable: keep the row of an image that cannot be read as not valid; otherwise stop
            there.
        features_dtype: how features are stored, `float16` or `float32`.
        templates: a name in `TEMPLATES`.
        limit: take only so many rows, spread over splits and groups.
        shard: index, from 1, and count: take only this one of so many equal parts of the rows.
        overwrite: replace a file that exists.
    """

    batch_size: int | None = None
    workers: int | None = None
    skip_unreadable: bool = False
    features_dtype: str = "float16"
    templates: str = "imagenet"
    limit: int | None = None
    shard: tuple[int, int] | None = None
    overwrite: bool = False
