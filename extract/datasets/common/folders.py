"""Names in the folders below a root, listed once, and looked up with tolerance for spelling."""

import os
import posixpath
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

from clip_cfr.extract.errors import ExtractError

IMAGE_ENDINGS = frozenset(
    (
        *("jpg", "jpeg", "jpe", "jfif", "png", "gif", "bmp", "dib", "webp", "tif", "tiff", "ppm"),
        *("pgm", "pnm", "jp2", "j2k", "avif", "heic", "heif", "hif", "dcm", "dicom"),
    )
)
# Files and folders that operating systems and editors leave beside images.
LEFTOVERS = re.compile(r"\.|__MACOSX\Z|Thumbs\.db\Z|desktop\.ini\Z", re.IGNORECASE)

Names = dict[str, list[str]]


def ending(name: str) -> str:
    """Return the ending of a file name in lower case, without the dot: `jpg` for `a.JPG`.

    Empty if it has none.
    """
    return posixpath.splitext(name)[1][1:].lower()


def is_image_name(name: str) -> bool:
    """Return whether a file name ends like an image and is not hidden or a leftover of a system."""
    return ending(name) in IMAGE_ENDINGS and not LEFTOVERS.match(name)


def compose(name: str) -> str:
    """Return a name in Unicode's composed form (NFC)."""
    return unicodedata.normalize("NFC", name)


def fold(name: str) -> str:
    """Return a name as a key that ignores case and Unicode form: case-folded, in NFC."""
    return compose(compose(name).casefold())


def stem(name: str) -> str:
    """Return the `fold` of a name without its ending, if that is one of an image."""
    return fold(posixpath.splitext(name)[0] if ending(name) in IMAGE_ENDINGS else name)


class Folders:
    """The names in the folders below a root. Each folder is listed at most once.

    Paths are relative to the root, with slashes; the root itself is the empty path.

    Attributes:
        root: root folder.
        names: names in each folder that has been listed, by the path of the folder.
        spellings: names of a folder by key, by folder and key function; see `names_by_key`.
    """

    def __init__(self, root: Path):
        self.root = root
        self.names: dict[str, set[str]] = {}
        self.spellings: dict[tuple[str, Callable[[str], str]], Names] = {}

    def list(self, folder: str) -> set[str]:
        """Return the names of files and folders in a folder; the empty set if it does not exist.

        Raises:
            ExtractError: the folder cannot be listed.
        """
        if folder not in self.names:
            self.names[folder] = list_folder(self.root / folder)
        return self.names[folder]

    def exists(self, path: str) -> bool:
        """Return whether a file or folder exists, in exactly this spelling."""
        folder, name = posixpath.split(path)
        return name in self.list(folder)

    def find(self, path: str) -> str | None:
        """Return the path on disk of the file with the same or a similar name, or None.

        Its name may differ in Unicode form, in case, or in the kind of image that the ending names;
        folders may differ in Unicode form and case. If several names match, the closest match is
        returned; None if two are equally close.
        """
        *folders, name = path.split("/")
        folder = ""
        for each in folders:
            found = self.find_name(folder, each, (compose, fold))
            if found is None:
                return None
            folder = posixpath.join(folder, found)
        found = self.find_name(folder, name, (compose, fold, stem))
        return None if found is None else posixpath.join(folder, found)

    def find_name(self, folder: str, name: str, keys: Iterable[Callable[[str], str]]) -> str | None:
        """Return the name in a folder that equals a name, or else the only similar one, or None.

        The name itself comes first. Otherwise the keys are tried in order, and the first one with
        equal names decides: None if there are several.

        Args:
            folder: path of the folder.
            name: the wanted name.
            keys: some of `compose`, `fold` and `stem`. With `stem` only files count, and by that
                key only images.
        """
        is_file_wanted = stem in keys
        if name in self.list(folder) and not (
            is_file_wanted and self.is_folder(posixpath.join(folder, name))
        ):
            return name
        for key in keys:
            found = self.names_by_key(folder, key).get(key(name), [])
            if is_file_wanted:
                found = [name for name in found if not self.is_folder(posixpath.join(folder, name))]
            if key is stem:
                found = [name for name in found if is_image_name(name)]
            if found:
                return found[0] if len(found) == 1 else None
        return None

    def is_folder(self, path: str) -> bool:
        """Return whether a path is a folder on disk.

        A path that ends like an image is never one; the disk is not asked then.
        """
        return not is_image_name(posixpath.basename(path)) and (self.root / path).is_dir()

    def names_by_key(self, folder: str, key: Callable[[str], str]) -> Names:
        """Return the names in a folder, each list sorted, by the value of a key function."""
        if (folder, key) not in self.spellings:
            names: Names = defaultdict(list)
            for name in sorted(self.list(folder)):
                names[key(name)].append(name)
            self.spellings[folder, key] = names
        return self.spellings[folder, key]


def list_folder(folder: Path) -> set[str]:
    """Return the names of files and folders in a folder; the empty set if it does not exist.

    Raises:
        ExtractError: the folder cannot be listed.
    """
    try:
        return set(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return set()
    except OSError as error:
        raise ExtractError(
            f"{folder} cannot be listed ({error.strerror}); check the folder and --root"
        ) from error
