"""A run with names that look like markup, its cache, its images, and its page."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

MARKUP = "<script>alert('x')</script> & $\"cat\""
NAMED = ("on <b>land</b>", "on water")


@dataclass(frozen=True)
class Reported:
    """A run and its report.

    Attributes:
        run: the run folder, of zero-shot, ERM and CFR with two seeds, and an attribute in words.
        cache: the cache file.
        images: folder of the images of some rows.
        page: the page, with pictures.
        plots: folder of the PNG files.
    """

    run: Path
    cache: Path
    images: Path
    page: Path
    plots: Path


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory) -> Path:
    """Return a folder with `run`, `cache.h5`, and images of every second row."""
    from matplotlib.image import imsave

    from clip_cfr.cache.write.writer import write_cache
    from clip_cfr.calibrate import calibrate_cache
    from tests.calibrate.synthetic import cache_of, make_task, quick_settings

    folder = tmp_path_factory.mktemp("reported")
    task = replace(make_task(sizes=(300, 80, 120), core=1.5), class_names=(MARKUP, "dog"))
    write_cache(folder / "cache.h5", cache_of(task))
    write_words_for(task, folder / "words.h5")
    calibrate_cache(
        folder / "cache.h5",
        quick_settings(),
        methods=("zeroshot", "erm", "cfr"),
        seeds=2,
        attributes=NAMED,
        attribute_margin=0.05,
        words=folder / "words.h5",
        out=folder / "run",
    )
    (folder / "images" / "images").mkdir(parents=True)
    pixels = np.full((90, 160, 3), (200, 30, 60), np.uint8)
    for row in range(0, len(task.labels), 2):
        imsave(folder / "images" / "images" / f"{row}.png", pixels)
    return folder


def write_words_for(task, path: Path) -> None:
    """Write the words `NAMED` with the directions of the attributes of a task."""
    from clip_cfr.cache.words.files import write_words
    from clip_cfr.cache.words.words import Words, model_of_cache
    from tests.calibrate.synthetic import cache_of, unit

    vectors = [task.features[task.attributes == each].mean(axis=0) for each in (0, 1)]
    embeddings = unit(np.stack(vectors) @ task.projection).astype(np.float32)
    write_words(path, Words(NAMED, embeddings, ("{}",), model_of_cache(cache_of(task)).entries))


@pytest.fixture(scope="session")
def reported(run_folder: Path) -> Reported:
    """Return the run with its page and plots, written once."""
    from clip_cfr.calibrate.report import write_report

    found = Reported(
        run_folder / "run",
        run_folder / "cache.h5",
        run_folder / "images",
        run_folder / "page.html",
        run_folder / "plots",
    )
    write_report(
        [found.run], found.page, png=found.plots, root=found.images, thumbnails=20, rows=120
    )
    return found
