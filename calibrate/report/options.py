"""The options of a report."""

from dataclasses import dataclass
from pathlib import Path

from clip_cfr.cache.packages import is_installed
from clip_cfr.calibrate.core.errors import SettingsError
from clip_cfr.calibrate.named.embedded import check_without
from clip_cfr.calibrate.named.request import Attributes

MAPS = {"tsne": "t-SNE", "umap": "UMAP"}
MAX_ROWS = 20_000


@dataclass(frozen=True)
class ReportOptions:
    """The options of a report.

    Attributes:
        rows: largest number of images in the map of embeddings.
        map_method: one of `MAPS`.
        caches: cache files to look into before the ones that the runs name.
        root: folder of the images, to which the ids of a cache are relative; None for no pictures.
        thumbnails: largest number of pictures.
        attributes: attributes named in words, whose groups get accuracies; None for none.
        attribute_margin: smallest margin of an image that gets a value.
        words: words file with embeddings of their phrases; None for those of the caches.
    """

    rows: int = 1000
    map_method: str = "tsne"
    caches: tuple[Path, ...] = ()
    root: Path | None = None
    thumbnails: int = 0
    attributes: Attributes | None = None
    attribute_margin: float = 0.0
    words: Path | None = None

    def check(self) -> None:
        """Raise the error of an option that is out of its range or lacks another option.

        Raises:
            SettingsError: as above.
            ModuleNotFoundError: a package for the report or its map is not installed.
        """
        if not 0 <= self.rows <= MAX_ROWS:
            raise SettingsError(f"rows is {self.rows}, expected 0 to {MAX_ROWS:,}")
        if self.map_method not in MAPS:
            raise SettingsError(f"map is {self.map_method!r}, expected one of {', '.join(MAPS)}")
        if self.thumbnails < 0:
            raise SettingsError(f"thumbnails is {self.thumbnails}, expected 0 or more")
        if self.thumbnails and self.root is None:
            raise SettingsError("thumbnails need the folder of the images: give --root DIR")
        if self.root is not None and not self.thumbnails:
            raise SettingsError("a root has no effect without pictures: give --thumbnails N")
        if self.root is not None and not self.root.is_dir():
            raise SettingsError(f"--root {self.root}: expected the folder of the images")
        if not self.attributes:
            check_without(self.attribute_margin, self.words)
        check_packages(self.map_method)


def check_packages(map_method: str) -> None:
    """Raise ModuleNotFoundError for the first missing package that a report needs."""
    for name in ("plotly", "matplotlib", *(["umap"] if map_method == "umap" else [])):
        if not is_installed(name):
            raise ModuleNotFoundError(name, name=name)
