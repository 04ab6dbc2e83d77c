"""Fixtures: photos, their cache, and a run that was calibrated on it."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.samples import save_photos


@dataclass(frozen=True)
class Calibrated:
    """A data set, its cache and a run of two seeds.

    Attributes:
        photos: folder of the images.
        cache: features of the images.
        run: run folder with heads of zeroshot, dfr and linear-probe.
    """

    photos: Path
    cache: Path
    run: Path


@pytest.fixture(scope="session")
def calibrated(small_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Calibrated:
    from clip_cfr import EncoderSpec, ExtractOptions, calibrate_cache, extract_dataset

    folder = tmp_path_factory.mktemp("calibrated")
    made = Calibrated(save_photos(folder / "photos", 40), folder / "photos.h5", folder / "run")
    extract_dataset(
        "folder",
        made.photos,
        made.cache,
        encoder=EncoderSpec(str(small_clip), device="cpu"),
        options=ExtractOptions(templates="simple", features_dtype="float32", workers=0),
    )
    methods = ["zeroshot", "dfr", "linear-probe"]
    calibrate_cache(made.cache, methods=methods, seeds=2, out=made.run)
    return made
