"""Images of a prediction: names, and sources joined to one."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from jaxtyping import UInt8

from clip_cfr.extract.manifest.image_source import ImageSource
from clip_cfr.extract.manifest.manifest import Manifest, make_rows


@dataclass(frozen=True)
class ListedImages:
    """Images that an input names.

    Attributes:
        names: name of each image in the output.
        images: reads the image of a row.
        warnings: notes for the user.
    """

    names: tuple[str, ...]
    images: ImageSource
    warnings: tuple[str, ...] = ()

    def to_manifest(self) -> Manifest:
        """Return the images as a manifest without classes, in which all rows have label 0."""
        zeros = np.zeros(len(self.names), np.int32)
        return Manifest(
            dataset="predict",
            rows=make_rows(self.names, zeros, zeros, zeros),
            images=self.images,
            class_names=(),
            attribute_names=(),
            class_prompts=(),
            attribute_prompts=(),
            warnings=self.warnings,
        )


@dataclass(frozen=True)
class JoinedImages:
    """Sources one after the other.

    Attributes:
        sources: the sources.
        starts: first row of each source; the first is 0.
    """

    sources: tuple[ImageSource, ...]
    starts: tuple[int, ...]

    def read(self, row: int) -> bytes | UInt8[np.ndarray, "height width 3"]:
        """Return the image of a row, as its source does.

        Raises:
            OSError: the source cannot read it.
        """
        index = bisect_right(self.starts, row) - 1
        return self.sources[index].read(row - self.starts[index])


def join_images(parts: Sequence[ListedImages]) -> ListedImages:
    """Return the images of all parts in their order; at least one part is not empty."""
    kept = [part for part in parts if part.names]
    starts = tuple(accumulate((len(part.names) for part in kept[:-1]), initial=0))
    return ListedImages(
        names=tuple(name for part in kept for name in part.names),
        images=JoinedImages(tuple(part.images for part in kept), starts),
        warnings=tuple(warning for part in parts for warning in part.warnings),
    )
