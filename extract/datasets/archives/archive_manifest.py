"""The manifest of samples of archives."""

import errno
import hashlib
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int64, UInt8

from clip_cfr.extract.datasets.archives.listed_samples import MISSING, match_list
from clip_cfr.extract.datasets.archives.sample_table import make_sample_table
from clip_cfr.extract.datasets.archives.samples import Samples
from clip_cfr.extract.datasets.common.metadata_manifest import make_manifest
from clip_cfr.extract.datasets.common.options import DatasetOptions
from clip_cfr.extract.datasets.tables.roles import FILENAME
from clip_cfr.extract.manifest.image_source import MISSING_FILE, ImageSource, find_file_state
from clip_cfr.extract.manifest.manifest import Manifest


@dataclass(frozen=True)
class SampleImages:
    """The images of rows that are samples of archives.

    Attributes:
        images: reads the image of a sample.
        samples: index of the sample of each row, MISSING if there is none.
    """

    images: ImageSource
    samples: Int64[np.ndarray, " n"]

    def read(self, row: int) -> bytes | UInt8[np.ndarray, "height width 3"]:
        """Return the image of a row's sample: the bytes of its encoded file, or its RGB pixels.

        Raises:
            OSError: the row has no sample, or its image cannot be read.
        """
        sample = int(self.samples[row])
        if sample == MISSING:
            raise OSError(errno.ENOENT, "it is in none of the archives")
        return self.images.read(sample)

    def file_state(self, row: int) -> tuple[int, int] | None:
        """Return size in bytes and modification time in ns of the archive of a row.

        (-1, -1) if the row has no sample; None if the images of the samples are not files.
        """
        sample = int(self.samples[row])
        return MISSING_FILE if sample == MISSING else find_file_state(self.images, sample)


def make_archive_manifest(dataset: str, samples: Samples, options: DatasetOptions) -> Manifest:
    """Return the manifest of samples, in the order of the archives.

    Labels, attributes, splits and subjects come from the fields of the samples, or from the list
    `options.metadata`, which names samples by their ids; samples that it does not name are left
    out. Entries of the list without a sample are the last rows, with `skip_missing`.

    Args:
        dataset: name of the data set.
        samples: the samples.
        options: `metadata`, `skip_missing` and those of `make_manifest` are used.

    Raises:
        ExtractError: there are no labels, a value is not one of those expected, or an entry of the
            list has no sample.
        OptionError: an option does not fit.
    """
    if options.metadata is None:
        table = make_sample_table(samples, without_filename(options).columns)
        rows, warnings = np.arange(len(table)), ()
    else:
        listed = match_list(samples, options)
        table, rows, warnings = listed.table, listed.rows, listed.warnings
    made = make_manifest(table, dataset=dataset, options=replace(options, columns=None))
    rows = rows[made.entries]
    return replace(
        made.manifest,
        images=SampleImages(samples.images, rows),
        images_sha256=digest_images(samples, rows),
        warnings=(*samples.warnings, *warnings, *made.manifest.warnings),
    )


def without_filename(options: DatasetOptions) -> DatasetOptions:
    """Return the options with `columns` but without its role `filename`.

    There it names the field of the images, which is no column of the table of samples.
    """
    columns = options.columns or {}
    kept = {role: name for role, name in columns.items() if role != FILENAME.name}
    return replace(options, columns=kept)


def digest_images(samples: Samples, rows: Int64[np.ndarray, " n"]) -> str:
    """Return the SHA-256, as hexadecimal digits, of the positions of the images of rows.

    It covers the names of the archives, and the sample, archive and position of each row; not the
    contents.

    Args:
        samples: the samples.
        rows: index of the sample of each row, MISSING if there is none.
    """
    digest = hashlib.sha256("\n".join(samples.archives.names).encode("utf-8", "backslashreplace"))
    kept = rows[rows != MISSING]
    digest.update(rows.astype("<i8").tobytes())
    digest.update(samples.archive_of[kept].astype("<i4").tobytes())
    digest.update(samples.positions[kept].astype("<i8").tobytes())
    return digest.hexdigest()
