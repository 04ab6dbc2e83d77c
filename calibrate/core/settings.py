"""Every hyperparameter with its default, its range and where the default comes from."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from math import isfinite
from typing import Any

from clip_cfr.calibrate.core.errors import SettingsError

CRITERIA = ("worst-class", "average", "worst-group")
SELECTIONS = (*CRITERIA, "last")


@dataclass(frozen=True)
class Range:
    """Bounds of a number; `exclusive` leaves the lower bound itself out."""

    low: float = 0
    high: float = float("inf")
    exclusive: bool = False

    def __contains__(self, value: float) -> bool:
        above = self.low < value if self.exclusive else self.low <= value
        return above and value <= self.high and isfinite(value)

    def __str__(self) -> str:
        above = "above" if self.exclusive else "at least"
        top = "" if self.high == float("inf") else f" and at most {self.high:g}"
        return f"{above} {self.low:g}{top}"


POSITIVE = Range(exclusive=True)
COUNT = Range(low=1)
SHARE = Range(high=1)


def option(default: Any, text: str, source: str, *, choices=None, within=None) -> Any:
    """A field of `Settings` with what the command line shows about it."""
    metadata = {"help": text, "source": source, "choices": choices, "within": within}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Settings:
    """What a calibration run may vary.

    Raises:
        SettingsError: a value is out of its range or not among its choices.

    References:
        "paper": arXiv 2403.07241. "release": the authors' code. "measured": chosen by measurement
        over several data sets and seeds, with the figures in CHANGELOG.md. "ours": our choice.
    """

    lr: float = option(1e-3, "CFR's learning rate", "measured; release 1e-4", within=POSITIVE)
    steps: int = option(4000, "CFR's steps", "ours; release 3,700", within=COUNT)
    erm_lr: float = option(1e-4, "ERM's learning rate", "release", within=POSITIVE)
    erm_steps: int = option(4000, "ERM's steps", "ours", within=COUNT)
    momentum: float = option(0.9, "SGD's momentum", "release", within=SHARE)
    weight_decay: float = option(1e-5, "weight decay of the projection", "release", within=Range())
    batch_size: int = option(128, "training rows a step", "release", within=COUNT)
    calibration_batch_size: int = option(128, "anchors a step", "release", within=COUNT)
    positive: str = option("dps", "positives: centroids or rows", "paper", choices=("dps", "rps"))
    negative: str = option(
        "rns", "negatives: random or nearest rows", "paper", choices=("rns", "nns")
    )
    num_positives: int = option(16, "positives of an anchor (rps)", "release", within=COUNT)
    num_negatives: int = option(16, "negatives of an anchor", "release", within=COUNT)
    positive_source: str = option(
        "correct", "rows that rps draws from", "release", choices=("all", "correct")
    )
    positive_pool: int = option(256, "rows drawn a step, rps chooses there", "ours", within=COUNT)
    negative_pool: int = option(256, "rows drawn a step, rns chooses there", "ours", within=COUNT)
    nns_pool: str = option(
        "all", "where nns looks: all, minibatch, or a number of rows drawn a step", "ours"
    )
    dps_source: str = option(
        "erm", "whose correct rows feed the centroids", "paper", choices=("erm", "zeroshot")
    )
    dps_momentum: float = option(0.9, "moving average of the centroids", "ours", within=SHARE)
    dps_weighting: str = option(
        "none",
        "weight of a row in its centroid",
        "ours, an open question of the paper",
        choices=("none", "confidence", "entropy"),
    )
    temperature: float = option(
        0.1, "temperature of the contrastive loss", "measured; release 1", within=POSITIVE
    )
    holistic: str = option(
        "cosine",
        "term over the training minibatch",
        "paper; release supcon",
        choices=("cosine", "supcon", "none"),
    )
    holistic_weight: float = option(1.0, "its weight, lambda", "paper", within=Range())
    supcon_temperature: float = option(0.07, "temperature of supcon", "release", within=POSITIVE)
    alpha: float = option(
        1.0, "weight of cross-entropy and contrast", "paper; release 1.5", within=Range()
    )
    alpha_schedule: str = option(
        "constant",
        "cosine: times 1 + cos(2 pi e/E)/2 at evaluation e",
        "release, where it never ran",
        choices=("constant", "cosine"),
    )
    cross_entropy: str = option(
        "both",
        "minibatches that CFR's cross-entropy runs over",
        "measured; release calibration",
        choices=("calibration", "train", "both"),
    )
    init: str = option(
        "clip", "head that CFR starts from", "release, measured again", choices=("clip", "erm")
    )
    logit_scale: float = option(1 / 0.07, "logit scale at the start", "release", within=POSITIVE)
    freeze_logit_scale: bool = option(False, "keep the logit scale fixed", "release trains it")
    dropout: float = option(
        0.1,
        "dropout on the embeddings that feed the logits, training only",
        "release",
        within=Range(high=0.99),
    )
    calibration_source: str = option(
        "erm", "whose errors make the calibration set", "paper", choices=("erm", "zeroshot")
    )
    calibration_size: float | None = option(
        None,
        "rows of the calibration set to use: a number, or a fraction up to 1",
        "paper uses all",
        within=POSITIVE,
    )
    calibration_subset: str = option(
        "random",
        "which ones when calibration-size leaves some out",
        "ours",
        choices=("random", "confident"),
    )
    calibration_minimum: int = option(
        2, "fewer rows than this are an error or a fallback", "ours", within=COUNT
    )
    calibration_fallback: str = option(
        "none",
        "margin: take the rows of smallest margin when there are too few errors",
        "ours",
        choices=("none", "margin"),
    )
    selection: str = option(
        "worst-class",
        "criterion on the validation split; worst-group uses attributes: an oracle",
        "ours; release worst-group",
        choices=SELECTIONS,
    )
    evaluations: int = option(100, "evaluations on val in each stage", "release", within=COUNT)
    dfr_subsamples: int = option(
        20, "balanced subsamples that DFR averages", "Kirichenko et al. 2023", within=COUNT
    )

    def __post_init__(self):
        for each in fields(self):
            check(each.name, getattr(self, each.name), each.metadata)
        check_calibration_size(self.calibration_size)
        nns_pool_rows(self)


def check(name: str, value: Any, metadata: Mapping[str, Any]) -> None:
    """Raises where a value is outside of what its option allows."""
    choices, within = metadata["choices"], metadata["within"]
    if choices is not None and value not in choices:
        raise SettingsError(f"{name} is {value!r}, expected one of: {', '.join(choices)}")
    if within is not None and value is not None and value not in within:
        finite = "" if isfinite(value) else "a finite number "
        raise SettingsError(f"{name} is {value}, expected {finite}{within}")


def check_calibration_size(size: float | None) -> None:
    """Raises where it is neither a fraction nor a number of rows."""
    if size is not None and 1 < size < 2:
        raise SettingsError(
            f"calibration_size is {size:g}, expected a fraction up to 1, or a number of rows from 2"
        )


def nns_pool_rows(settings: Settings) -> int | None:
    """Rows of the random pool that nns looks through, or None where it looks elsewhere."""
    if settings.nns_pool in ("all", "minibatch"):
        return None
    if settings.nns_pool.isdecimal() and int(settings.nns_pool) > 0:
        return int(settings.nns_pool)
    raise SettingsError(
        f"nns_pool is {settings.nns_pool!r}, expected all, minibatch or a number of rows"
    )


# The release's values as far as this tool has what they belong to, and what it has not.
PRESETS = {
    "release": {
        "lr": 1e-4,
        "steps": 3700,
        "erm_lr": 1e-4,
        "positive": "rps",
        "negative": "nns",
        "temperature": 1.0,
        "holistic": "supcon",
        "alpha": 1.5,
        "cross_entropy": "calibration",
        "init": "clip",
        "selection": "worst-group",
    }
}
NOT_REPRODUCED = {
    "release": "not reproduced of the release: it also trains the text projection, the token "
    "embeddings and, for CLIP-ResNet50, the whole attention pool; dropout acts in evaluation too; "
    "its supcon has targets (weight 0.2) and a queue of 1,280 embeddings; its negatives end up "
    "as rows of the anchor's own class, here they are of other classes"
}
