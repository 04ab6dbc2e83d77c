"""The result of the study `cost`: the answer, the JSON form, and tidy rows."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clip_cfr.cache.wording import count_noun
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.studies.cost import NAME, QUESTION
from clip_cfr.calibrate.studies.cost.flops import PaperCost
from clip_cfr.calibrate.studies.cost.measure import OPTIMIZER, Cost, Measurements
from clip_cfr.calibrate.studies.sentences import format_accuracy

LABELS = {"fine-tuning": "full fine-tuning", "erm": "ERM", "cfr": "CFR"}


@dataclass(frozen=True)
class CostResult:
    """The result of the study.

    Attributes:
        cache, dataset: the cache, and the name of its data set.
        settings: the settings of the calibration.
        epochs: epochs of fine-tuning.
        seeds: the seeds.
        judged_by: `worst_group` or `worst_class`.
        measured: costs and accuracies on this machine.
        paper: FLOPs of larger models.
        directory: the folder.
    """

    cache: str
    dataset: str
    settings: Settings
    epochs: int
    seeds: tuple[int, ...]
    judged_by: str
    measured: Measurements
    paper: tuple[PaperCost, ...]
    directory: Path

    @property
    def question(self) -> str:
        """The question of the study."""
        return QUESTION

    @property
    def measure(self) -> str:
        """The measure of accuracies in words: `worst-group` or `worst-class`."""
        return self.judged_by.replace("_", "-")

    @property
    def costs(self) -> dict[str, Cost]:
        """The measured costs by step."""
        found = self.measured
        return {
            "full fine-tuning": found.fine_tuning,
            "extraction": found.extraction,
            "calibration (ERM and CFR)": found.calibration,
        }

    @property
    def sentences(self) -> tuple[str, str]:
        """The answer in two sentences: the measured ratio, and accuracies with ratios on paper."""
        return describe_costs(self), describe_accuracies(self)

    def to_json(self) -> dict[str, Any]:
        """Return the object of `--json` and `study.json`; accuracies are in [0, 1]."""
        found = self.measured
        return {
            "study": NAME,
            "question": QUESTION,
            "cache": self.cache,
            "dataset": self.dataset,
            "settings": asdict(self.settings),
            "optimizer": OPTIMIZER,
            "epochs": self.epochs,
            "seeds": list(self.seeds),
            "answer": list(self.sentences),
            "judged_by": self.measure,
            "measured": {name: asdict(each) for name, each in self.costs.items()},
            "ratio": found.ratio,
            "selected_epochs": list(found.epochs),
            "test": {name: each.to_json() for name, each in found.accuracies.items()},
            "on_paper": [{**asdict(each), "ratio": each.ratio} for each in self.paper],
        }

    def tidy_rows(self) -> Iterator[dict[str, Any]]:
        """Yield a dict for each number, with the keys kind, name, seed, quantity and value.

        The kind is `measured` or `on paper`; the seed is empty where the value is of all seeds.
        """
        for name, cost in self.costs.items():
            for quantity, value in asdict(cost).items():
                yield make_row("measured", name, "", quantity, value)
        for name, accuracy in self.measured.accuracies.items():
            for quantity, values in ((self.measure, accuracy.worst), ("average", accuracy.average)):
                for seed, value in zip(self.seeds, values, strict=True):
                    yield make_row("measured", LABELS[name], seed, f"test {quantity}", value)
        for each in self.paper:
            name = f"{each.model}, {each.images} images"
            for quantity in ("forward", "fine_tuning", "extraction", "calibration"):
                yield make_row("on paper", name, "", f"{quantity} FLOPs", getattr(each, quantity))
            yield make_row("on paper", name, "", "ratio", each.ratio)


def make_row(kind: str, name: str, seed: int | str, quantity: str, value: float) -> dict[str, Any]:
    """Return one of `CostResult.tidy_rows`."""
    return {"kind": kind, "name": name, "seed": seed, "quantity": quantity, "value": value}


def describe_costs(result: CostResult) -> str:
    """Return the sentence on the measured ratio, with seconds and peak memory."""
    found = result.measured
    tuning, extraction, calibration = found.fine_tuning, found.extraction, found.calibration
    memory = max(extraction.rss_mb, calibration.rss_mb)
    return (
        f"Full fine-tuning of the tiny CLIP for {count_noun(result.epochs, 'epoch')} with "
        f"{count_noun(len(result.seeds), 'seed')} took {tuning.seconds:.1f} s, {found.ratio:.1f} "
        f"times the {extraction.seconds:.1f} s of one extraction and {calibration.seconds:.1f} s "
        f"of ERM and CFR on its features, with a peak memory of {tuning.rss_mb:,.0f} MB against "
        f"{memory:,.0f} MB."
    )


def describe_accuracies(result: CostResult) -> str:
    """Return the sentence on accuracies, with the range of the ratios on paper."""
    accuracies = ", ".join(
        f"{LABELS[name]} {format_accuracy(np.mean(each.worst))} "
        f"({format_accuracy(np.mean(each.average))})"
        for name, each in result.measured.accuracies.items()
    )
    ratios = [each.ratio for each in result.paper]
    return (
        f"Test {result.measure} accuracy (average in parentheses) is: {accuracies}; on paper, "
        f"full fine-tuning of {result.paper[0].model} to {result.paper[-1].model} takes "
        f"{min(ratios):.1f} to {max(ratios):.1f} times the FLOPs of extraction and calibration."
    )
