"""Check that the study `cost` can run, before anything is measured, and make its inputs."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from clip_cfr.cache.class_prompts import list_prompt_sets, with_prompt_set
from clip_cfr.cache.format.shard import check_not_shard
from clip_cfr.cache.packages import is_installed
from clip_cfr.cache.read.info import content_digest
from clip_cfr.cache.read.reader import open_cache
from clip_cfr.calibrate.class_prompts import check_prompt_set
from clip_cfr.calibrate.core.errors import CalibrationError, SettingsError
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.core.task import Task
from clip_cfr.calibrate.methods.checks import check_task

MODEL = Path(__file__).parents[3] / "extract" / "tiny_clip"
NEEDED = ("torch", "transformers", "PIL")
METHODS = ("erm", "cfr")
# Criterion that selects fine-tuned models and heads.
SELECTION = "worst-class"


@dataclass(frozen=True)
class CostInputs:
    """The cache and the images of the study.

    Attributes:
        path: the cache.
        digest: SHA-256 of its contents.
        dataset: name of the data set.
        root: folder of the images.
        task: the task, with features in memory.
        ids: path of each row's image relative to `root`.
    """

    path: Path
    digest: str
    dataset: str
    root: Path
    task: Task
    ids: tuple[str, ...]

    @property
    def judged_by(self) -> str:
        """`worst_group`, or `worst_class` where attributes are not known."""
        return "worst_group" if len(self.task.attribute_names) > 1 else "worst_class"


def check_packages() -> None:
    """Raise ModuleNotFoundError for the first package of `NEEDED` that is not installed."""
    for name in NEEDED:
        if not is_installed(name):
            raise ModuleNotFoundError(name, name=name)


def check_arguments(
    root: str | Path | None, epochs: int, seeds: int, settings: Settings, device: str
) -> None:
    """Raise SettingsError if an argument of `run_cost` does not suit."""
    if root is None:
        raise SettingsError("--root is missing: the study cost needs the images of the cache")
    for name, value in {"epochs": epochs, "seeds": seeds}.items():
        if value < 1:
            raise SettingsError(f"{name} is {value}, expected at least 1")
    if settings.selection not in (SELECTION, Settings().selection):
        raise SettingsError(
            f"selection is {settings.selection!r}, expected {SELECTION!r}: the study cost selects "
            "fine-tuned models and heads by it"
        )
    if device == "gpu":
        raise SettingsError("device is 'gpu': the study cost measures on the CPU; leave it out")


def load_inputs(path: Path, root: Path, settings: Settings, prompts: str | None) -> CostInputs:
    """Read a cache for the study, and check that its model and its images are at hand.

    Raises:
        CacheError: the cache cannot be read, or is a shard.
        CalibrationError: the features are not of the embedded tiny CLIP, an image is missing, or
            the task lacks what a method needs.
        SettingsError: a setting does not suit the task.
    """
    with open_cache(path) as cache:
        check_not_shard(path, cache.provenance, cache.features.shape[0])
        check_model(path, cache.provenance)
        check_prompt_set(path, prompts, list_prompt_sets(cache))
        task = Task.from_cache(with_prompt_set(cache, prompts))
        check_task(task, settings, METHODS, None)
        check_images(path, root, [cache.rows.ids[row] for row in np.flatnonzero(cache.valid)])
        features = cache.features.read_all()
    return CostInputs(
        path=path,
        digest=content_digest(path),
        dataset=cache.dataset,
        root=root,
        task=replace(task, features=features),
        ids=cache.rows.ids,
    )


def check_model(path: Path, provenance: dict) -> None:
    """Raise CalibrationError unless the features of a cache are those of the embedded tiny CLIP."""
    weights = hashlib.sha256((MODEL / "model.safetensors").read_bytes()).hexdigest()
    if provenance.get("weights_sha256") != weights:
        raise CalibrationError(
            f"{path}: the features are of the model {provenance['model']}, expected the embedded "
            f"tiny CLIP, which the study cost fine-tunes: make a cache with extract --dataset "
            f"digits --root images --model {MODEL}"
        )


def check_images(path: Path, root: Path, ids: list[str]) -> None:
    """Raise CalibrationError if the image of a row is not a file below the root."""
    missing = [each for each in ids if not (root / each).is_file()]
    if missing:
        raise CalibrationError(
            f"{root}: {len(missing)} of the {len(ids)} images of {path} are missing, the first is "
            f"{missing[0]}; set --root to the folder that the cache was extracted from"
        )
