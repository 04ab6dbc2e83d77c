"""Run the study `cost`: measure, answer the question and write the folder."""

from dataclasses import asdict, replace
from pathlib import Path

from clip_cfr.cache.files.folder_lock import use_folder
from clip_cfr.cache.runs.study_folder import has_cost, make_study_folder
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.grid.plan import short_digest
from clip_cfr.calibrate.progress import LineReporter
from clip_cfr.calibrate.runtime.precision import resolve_precision
from clip_cfr.calibrate.studies.cost import DEFAULT_EPOCHS, NAME
from clip_cfr.calibrate.studies.cost.check import (
    SELECTION,
    check_arguments,
    check_packages,
    load_inputs,
)
from clip_cfr.calibrate.studies.cost.flops import paper_costs
from clip_cfr.calibrate.studies.cost.measure import measure
from clip_cfr.calibrate.studies.cost.plot import plot_cost
from clip_cfr.calibrate.studies.cost.result import CostResult
from clip_cfr.calibrate.studies.files import write_files


def run_cost(
    cache: str | Path,
    root: str | Path | None,
    settings: Settings | None = None,
    *,
    epochs: int = DEFAULT_EPOCHS,
    seeds: int = 3,
    seed: int = 0,
    out: str | Path | None = None,
    device: str = "auto",
    hold_rows: int | None = None,
    prompts: str | None = None,
) -> CostResult:
    """Measure full fine-tuning against calibration on cached features, and write a study folder.

    Fine-tuning updates all weights of the image tower and of the projection by the cross-entropy
    against the class embeddings, which stay fixed. All is measured on the CPU, in other processes.
    The same call measures again.

        run_cost("runs/demo/digits.h5", "runs/demo/images").sentences

    Args:
        cache: a cache of the embedded tiny CLIP.
        root: folder of its images.
        settings: the settings of ERM and CFR. Fine-tuned models and heads are selected by
            worst-class accuracy, also if `selection` is the default; another one is refused.
        epochs: epochs of fine-tuning.
        seeds: number of seeds.
        seed: the first seed.
        out: the folder; by default `runs/study-cost-DIGEST`.
        device: `auto` or `cpu`.
        hold_rows: rows of features in memory at a time while calibrating; by default all that fit.
        prompts: the set of class prompts; by default those of the cache.

    Raises:
        ModuleNotFoundError: torch, transformers or Pillow is not installed (extra `extract`).
        SettingsError: an argument does not suit; nothing was measured.
        CacheError: the cache cannot be read, or the folder cannot be written.
        CalibrationError: model or images are not at hand or not those of the cache, or a process
            failed.
    """
    check_packages()
    settings = settings or Settings()
    check_arguments(root, epochs, seeds, settings, device)
    settings = resolve_precision(replace(settings, selection=SELECTION))
    inputs = load_inputs(Path(cache), Path(root), settings, prompts)
    identity = {"cache": inputs.digest, "prompts": prompts, "epochs": epochs, **asdict(settings)}
    seed_range = tuple(range(seed, seed + seeds))
    digest = short_digest({**identity, "seeds": seed_range})
    directory = Path(out) if out else Path("runs") / f"study-{NAME}-{digest}"
    make_study_folder(directory, has_cost)
    with use_folder(directory):
        LineReporter().message("fine-tuning, extraction and calibration are measured")
        measured = measure(
            inputs,
            settings,
            epochs=epochs,
            seeds=seed_range,
            hold_rows=hold_rows,
            prompts=prompts,
        )
        result = CostResult(
            cache=str(cache),
            dataset=inputs.dataset,
            settings=settings,
            epochs=epochs,
            seeds=seed_range,
            judged_by=inputs.judged_by,
            measured=measured,
            paper=paper_costs(epochs, Settings()),
            directory=directory,
        )
        write_files(directory, result, plot_cost)
    return result
