"""Maps of embeddings before and after calibration, coloured by a choice of the reader."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from clip_cfr.calibrate.report.plots.plot import (
    COLOURS,
    SYMBOLS,
    Plot,
    add_legend,
    finite,
    literal,
    safe_json,
    text_label,
)


@dataclass(frozen=True)
class Colouring:
    """A way to colour the points.

    Attributes:
        title: its title in the selector.
        names: the categories.
        before, after: the category of each point in each map.
    """

    title: str
    names: tuple[str, ...]
    before: Int[np.ndarray, " rows"]
    after: Int[np.ndarray, " rows"]

    @classmethod
    def same(cls, title: str, names: tuple[str, ...], codes: np.ndarray) -> "Colouring":
        """Return a colouring that does not depend on the map."""
        return cls(title, names, codes, codes)


@dataclass(frozen=True)
class EmbeddingMap(Plot):
    """Two maps of the same images.

    Attributes:
        before, after: coordinates of each image.
        titles: titles of both maps.
        ids: id of each image.
        splits: name of the split of each image.
        colourings: the ways to colour the points; a file has one figure of the first.
        pictures: data URLs by id.
    """

    before: Float[np.ndarray, "rows 2"]
    after: Float[np.ndarray, "rows 2"]
    titles: tuple[str, str]
    ids: tuple[str, ...]
    splits: tuple[str, ...]
    colourings: tuple[Colouring, ...]
    pictures: Mapping[str, str]

    def figure(self) -> dict[str, Any]:
        """Return all that the page's script draws the maps from, in JSON types."""
        maps = [
            {"title": text_label(title), "x": finite(xy[:, 0], 2), "y": finite(xy[:, 1], 2)}
            for title, xy in zip(self.titles, (self.before, self.after), strict=True)
        ]
        colourings = [
            {
                "title": each.title,
                "names": [text_label(name) for name in each.names],
                "codes": [each.before.tolist(), each.after.tolist()],
            }
            for each in self.colourings
        ]
        pictures = {
            index: self.pictures[each]
            for index, each in enumerate(self.ids)
            if each in self.pictures
        }
        return {
            "maps": maps,
            "colourings": colourings,
            "ids": [text_label(each) for each in self.ids],
            "splits": list(self.splits),
            "pictures": pictures,
        }

    def html(self, key: str) -> str:
        """Return selectors, both maps and a line for the chosen image."""
        key = f"{key}-{self.name}"
        colours = "".join(
            f"<option value={index}>{text_label(each.title)}</option>"
            for index, each in enumerate(self.colourings)
        )
        splits = "".join(
            f'<option value="{each}">{each}</option>' for each in dict.fromkeys(self.splits)
        )
        charts = "".join(
            f"<div><h4>{text_label(title)}</h4><div class=chart role=img "
            f'aria-label="{text_label(f"{self.alt} {title}")}"></div></div>'
            for title in self.titles
        )
        return (
            f'<figure class=map id="{key}"><figcaption>{text_label(self.title)}</figcaption>'
            f"<p class=controls><label>Colour by <select class=colour>{colours}</select></label> "
            f"<label>Images <select class=split><option value=''>of all splits</option>{splits}"
            f"</select></label></p><div class=pair>{charts}</div>"
            f"<output class=chosen>Point at an image, or tap it.</output>"
            f'<script type="application/json" class=map>{safe_json(self.figure())}</script>'
            "</figure>"
        )

    def draw(self, figure: Any) -> None:
        """Draw both maps into a matplotlib figure, coloured by the first colouring."""
        colouring = self.colourings[0]
        pairs = ((self.before, colouring.before), (self.after, colouring.after))
        for axes, title, (xy, codes) in zip(figure.subplots(1, 2), self.titles, pairs, strict=True):
            for code, name in enumerate(colouring.names):
                chosen = codes == code
                axes.scatter(
                    *xy[chosen].T,
                    s=8,
                    color=COLOURS[code % len(COLOURS)],
                    marker=SYMBOLS[code // len(COLOURS) % len(SYMBOLS)],
                    label=literal(name),
                )
            axes.set_title(literal(title))
            axes.set_xticks([])
            axes.set_yticks([])
        handles, labels = axes.get_legend_handles_labels()
        add_legend(figure, handles, labels, columns=2)
