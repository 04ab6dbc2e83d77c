"""List the images in a tar or a zip archive."""

import posixpath
import zipfile
from pathlib import Path

import numpy as np

from clip_cfr.extract.datasets.common.folders import is_image_name
from clip_cfr.extract.datasets.webdataset.member_names import is_leftover, normalize_name
from clip_cfr.extract.datasets.webdataset.tar_index import read_samples
from clip_cfr.extract.datasets.webdataset.tar_source import TarImages
from clip_cfr.extract.datasets.webdataset.text_fields import TextFields
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.manifest.image_source import read_file_state
from clip_cfr.extract.predict.listed_images import ListedImages
from clip_cfr.extract.predict.zip_images import UNREADABLE, ZipImages, open_zip


def list_tar(path: Path, skip_damage: bool) -> ListedImages:
    """Return the images of a tar archive, named `ARCHIVE/MEMBER`; only headers are read.

    Args:
        path: the archive.
        skip_damage: list the images before a damage and warn about it, instead of an error. The
            last one, which may be incomplete, is left out.

    Raises:
        ExtractError: the file is not an uncompressed tar archive, or damaged.
    """
    index, state, warnings = read_samples(path, TextFields(), skip_damage)
    found = [
        (f"{path}/{key}.{ending}", image)
        for key, sample in index.samples.items()
        for ending, image in sample.images.items()
    ]
    images = TarImages(
        paths=(path,),
        states=(state,),
        archives=np.zeros(len(found), np.int32),
        offsets=np.array([image.offset for _, image in found], np.int64),
        sizes=np.array([image.size for _, image in found], np.int64),
        errors={row: image.error for row, (_, image) in enumerate(found) if image.error},
    )
    return ListedImages(tuple(name for name, _ in found), images, warnings)


def list_zip(path: Path) -> ListedImages:
    """Return the images of a zip archive, named `ARCHIVE/MEMBER`, in the order of its directory.

    Raises:
        ExtractError: the file is not a zip archive, or damaged.
    """
    state = read_file_state(path)
    try:
        members = open_zip(path, state).infolist()
    except (OSError, *UNREADABLE) as error:
        reason = getattr(error, "strerror", None) or error
        raise ExtractError(
            f"{path} cannot be read as a zip archive ({reason}); check the file"
        ) from error
    chosen = [index for index, member in enumerate(members) if is_image(member)]
    names = tuple(f"{path}/{normalize_name(members[index].filename)}" for index in chosen)
    return ListedImages(names, ZipImages(path, state, tuple(chosen)))


def is_image(member: zipfile.ZipInfo) -> bool:
    """Return whether a member is a file that ends like an image and is no leftover of a system."""
    name = normalize_name(member.filename)
    return not member.is_dir() and is_image_name(posixpath.basename(name)) and not is_leftover(name)
