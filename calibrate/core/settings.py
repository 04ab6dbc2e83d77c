"""The hyperparameters, each with its default, range, help text and the source of the default."""

from dataclasses import Field, dataclass, fields
from typing import Literal

from clip_cfr.calibrate.core.errors import SettingsError
from clip_cfr.calibrate.core.options import (
    COUNT,
    FRACTION,
    MAX_COUNT,
    POSITIVE,
    Range,
    check_value,
    option,
)

WORST_NAMED_GROUP = "worst-named-group"
CRITERIA = ("worst-class", "average", "inferred-groups", WORST_NAMED_GROUP, "worst-group")
SELECTIONS = (*CRITERIA, "last")
# Criteria of which a better value counts for the patience of every stage.
ALWAYS_COUNTED = ("worst-class", "average")
# A value of a setting.
Value = str | float | int | bool | None
# Settings that are a number of rows or one of these words.
POOL_WORDS = {
    "positive_pool": ("minibatch",),
    "negative_pool": ("minibatch",),
    "nns_pool": ("all", "minibatch"),
}


@dataclass(frozen=True)
class Settings:
    """Hyperparameters of a calibration; the help of each field says what it is.

    Values are checked on construction. Afterwards `nns_pool` is a string, also for a number of rows
    ("256"), and `positive_pool` and `negative_pool` are an int, or "minibatch".

    Raises:
        SettingsError: a value is out of its range or not among its choices.

    References:
        "paper": arXiv 2403.07241. "release": the authors' code. "measured": chosen by measurement
        over several data sets and seeds, with the figures in CHANGELOG.md. "ours": our choice.
    """

    lr: float = option(
        3e-3,
        "Learning rate of CFR, CnC and the adapters",
        "measured; release 1e-4",
        within=POSITIVE,
        search=Range(1e-5, 1e-1),
    )
    steps: int = option(
        2000, "Steps of CFR, CnC and the adapters", "measured; release 3,700", within=COUNT
    )
    identification_lr: float = option(
        1e-3,
        "Learning rate of the identification head: a short ERM whose misclassified training rows "
        "are the calibration set",
        "measured; release 1e-4",
        within=POSITIVE,
    )
    identification_steps: int = option(
        400, "Steps of the identification head", "measured", within=COUNT
    )
    erm_lr: float = option(
        1e-2,
        "Learning rate of ERM, JTT, group DRO and AFR",
        "measured; release 1e-4",
        within=POSITIVE,
        search=Range(1e-4, 1e-1),
    )
    erm_steps: int = option(2000, "Steps of ERM, JTT, group DRO and AFR", "measured", within=COUNT)
    momentum: float = option(0.9, "Momentum of SGD, in all stages", "release", within=FRACTION)
    weight_decay: float = option(
        1e-5,
        "Weight decay of projection and bias, in all stages; the logit scale has none",
        "release",
        within=Range(),
        search=Range(1e-6, 1e-2),
    )
    batch_size: int = option(
        128, "Training rows in a minibatch, in all stages", "release", within=COUNT
    )
    calibration_batch_size: int = option(
        128,
        "Rows of the calibration set in a minibatch of the CFR stage: the anchors of the "
        "contrastive loss",
        "release",
        within=COUNT,
    )
    positive: str = option(
        "dps",
        "Positives of an anchor: dps, dynamic positive centroid sampling, takes the "
        "moving-average centroid of the anchor's class; rps, random positive sampling, takes "
        "random training rows of its class",
        "paper",
        choices=("dps", "rps"),
    )
    negative: str = option(
        "rns",
        "Negatives of an anchor: rns, random negative sampling, takes random training rows of "
        "other classes; nns, nearest-neighbour negative sampling, takes those most similar to the "
        "anchor",
        "paper",
        choices=("rns", "nns"),
    )
    num_positives: int = option(
        16, "Positives of each anchor with rps; dps has one, the centroid", "release", within=COUNT
    )
    num_negatives: int = option(16, "Negatives of each anchor", "release", within=COUNT)
    positive_source: str = option(
        "correct",
        "Training rows that rps draws from: all, or correct, those that the identification head "
        "classifies correctly",
        "release",
        choices=("all", "correct"),
    )
    positive_pool: int | str = option(
        256,
        "Rows that the rps positives come from: a number of training rows drawn in each step, of "
        "which an anchor takes num-positives; or minibatch, all rows of its class in the training "
        "minibatch, which is faster",
        "ours",
    )
    negative_pool: int | str = option(
        "minibatch",
        "Rows that the rns negatives come from: minibatch, all rows of other classes in the "
        "training minibatch, weighted to count as num-negatives; or a number of training rows "
        "drawn in each step, of which an anchor takes num-negatives, which is slower",
        "ours, measured",
    )
    nns_pool: int | str = option(
        "all",
        "Rows that nns searches: all, the whole training split, once before the stage under the "
        "identification head; minibatch, the training minibatch of each step; or a number of "
        "training rows drawn in each step",
        "ours",
    )
    dps_source: str = option(
        "identification",
        "Head whose correctly classified rows update the dps centroids: the identification head, "
        "or CLIP's own (zeroshot)",
        "paper",
        choices=("identification", "zeroshot"),
    )
    dps_momentum: float = option(
        0.9, "Momentum of the moving average of the dps centroids", "ours", within=FRACTION
    )
    dps_weighting: str = option(
        "none",
        "Weight of a row in its dps centroid: none, 1; confidence, the probability of its class; "
        "entropy, 1 minus the normalized entropy of its prediction",
        "ours, an open question of the paper",
        choices=("none", "confidence", "entropy"),
    )
    temperature: float = option(
        1.0,
        "Temperature of CFR's contrastive loss",
        "release, measured again",
        within=POSITIVE,
        search=Range(0.03, 3.0),
    )
    holistic: str = option(
        "cosine",
        "Loss over the training minibatch beside cross-entropy: cosine, the mean cosine similarity "
        "between classes minus that within them; supcon, supervised contrastive loss; none",
        "paper; release supcon",
        choices=("cosine", "supcon", "none"),
    )
    holistic_weight: float = option(
        0.1,
        "Weight of the holistic loss, lambda",
        "measured; paper 1",
        within=Range(),
        search=Range(0.0, 2.0),
    )
    supcon_temperature: float = option(
        0.07, "Temperature of the supcon holistic loss", "release", within=POSITIVE
    )
    alpha: float = option(
        1.0,
        "Weight of cross-entropy and contrastive loss in the CFR stage",
        "paper; release 1.5",
        within=Range(),
        search=Range(0.25, 4.0),
    )
    alpha_schedule: str = option(
        "constant",
        "Schedule of alpha: constant; cosine, alpha times (1 + cos(2 pi e/E)/2) after e of E "
        "evaluations",
        "release, where it never ran",
        choices=("constant", "cosine"),
    )
    cross_entropy: str = option(
        "both",
        "Rows of the cross-entropy in the CFR stage: the calibration minibatch, the training "
        "minibatch, or both",
        "measured; release calibration",
        choices=("calibration", "train", "both"),
    )
    init: str = option(
        "clip",
        "Head that the CFR stage starts from: CLIP's own, or the identification head",
        "release, measured again",
        choices=("clip", "identification"),
        search=("clip", "identification"),
    )
    logit_scale: float = option(
        1 / 0.07,
        "Factor of the cosine similarities in the logits, at the start of all stages",
        "release",
        within=POSITIVE,
    )
    freeze_logit_scale: bool = option(
        False, "Keep the logit scale fixed instead of training it", "release trains it"
    )
    dropout: float = option(
        0.1,
        "Dropout rate of the embeddings that feed the logits, in training only",
        "release",
        within=Range(high=0.99),
        search=Range(0.0, 0.5),
    )
    calibration_source: str = option(
        "identification",
        "Head whose misclassified training rows form the calibration set: the identification "
        "head, or CLIP's own (zeroshot)",
        "paper",
        choices=("identification", "zeroshot"),
    )
    calibration_size: float | None = option(
        None,
        "Rows of the calibration set to use: a number from 2, or a fraction up to 1; by default "
        "all",
        "paper uses all",
        within=POSITIVE,
    )
    calibration_subset: str = option(
        "random",
        "Rows to use if calibration-size leaves some out: random, or confident, those "
        "misclassified with the largest margin",
        "ours",
        choices=("random", "confident"),
    )
    calibration_minimum: int = option(
        2,
        "Smallest calibration set; calibration-fallback says what happens below it",
        "ours",
        within=COUNT,
    )
    calibration_fallback: str = option(
        "none",
        "If too few training rows are misclassified: none, stop with an error; margin, use the "
        "training rows of smallest margin",
        "ours",
        choices=("none", "margin"),
    )
    selection: str = option(
        "inferred-groups",
        "Criterion on the validation split that selects a head of each stage: worst-class or "
        "average accuracy; inferred-groups, the mean of both and of the mean accuracy over the "
        "rows that CLIP's own head gets right and those that it gets wrong, in each class; "
        "worst-named-group, the lowest accuracy over the groups named in words, which is the "
        "default where an attribute is named; last, the last step; worst-group, which uses group "
        "labels and is therefore an oracle",
        "ours, measured; release worst-group",
        choices=SELECTIONS,
    )
    evaluations: int = option(
        100, "Evaluations on the validation split in each stage", "release", within=COUNT
    )
    patience: int = option(
        0,
        "Evaluations without a better validation accuracy, average or of the worst class, after "
        "which a stage stops; 0: never. A better value of the selection's criterion counts too",
        "ours, measured",
        within=Range(),
    )
    precision: str = option(
        "auto",
        "Type that the operands of the large matrix products are rounded to in training; auto: "
        "bfloat16 on a CPU with instructions for it, else float32. Everything else is float32",
        "ours, measured",
        choices=("auto", "float32", "bfloat16"),
    )
    dfr_subsamples: int = option(
        20,
        "Group-balanced subsamples that DFR averages over",
        "Kirichenko et al. 2023",
        within=COUNT,
    )

    jtt_upweight: int = option(
        20,
        "How often JTT counts a training row of the calibration set",
        "ours; Liu et al. 2021 tuned it: 100 on Waterbirds, 50 on CelebA, 4 and 6 on texts",
        within=COUNT,
        search=(5, 10, 20, 50, 100),
    )

    group_dro_step: float = option(
        0.01,
        "Step size of the group weights of group DRO: a weight grows by the factor "
        "exp(step * loss of the group)",
        "Sagawa et al. 2020, the authors' code",
        within=Range(),
        search=Range(1e-3, 1e-1),
    )

    cnc_weight: float = option(
        0.75,
        "Weight of the contrastive loss of CnC; cross-entropy has 1 minus it",
        "ours; Zhang et al. 2022 tuned it",
        within=FRACTION,
        search=Range(0.1, 0.9),
    )
    cnc_temperature: float = option(
        0.1,
        "Temperature of the contrastive loss of CnC",
        "ours; Zhang et al. 2022 tuned it",
        within=POSITIVE,
        search=Range(0.03, 1.0),
    )

    resample: bool = option(
        False,
        "Draw the training rows, or subjects, with replacement within each class, anew for each "
        "seed: seeds then differ in the training rows, too",
        "ours",
    )
    adapter_dim: int = option(
        128, "Dimensions of the bottleneck of an adapter", "Zhang and Re 2022", within=COUNT
    )
    adapter_temperature: float = option(
        0.1,
        "Temperature of the contrastive loss of the contrastive adapter",
        "Zhang and Re 2022",
        within=POSITIVE,
        search=Range(0.03, 1.0),
    )

    def __post_init__(self):
        for each in fields(self):
            check_value(each.name, getattr(self, each.name), each.metadata)
        check_calibration_size(self.calibration_size)
        object.__setattr__(self, "nns_pool", str(self.nns_pool))
        for name in ("positive_pool", "negative_pool"):
            object.__setattr__(self, name, to_number(getattr(self, name)))
        for name in POOL_WORDS:
            pool_rows(self, name)


def default_settings(has_named: bool) -> Settings:
    """Return the default settings, which select by groups named in words if there are some.

    References:
        docs/defaults.md, "Selection without group labels".
    """
    return Settings(selection=WORST_NAMED_GROUP) if has_named else Settings()


def selections_of(has_named: bool) -> tuple[str, ...]:
    """Return `SELECTIONS`, without `worst-named-group` if no attribute is named in words."""
    return tuple(each for each in SELECTIONS if has_named or each != WORST_NAMED_GROUP)


def value_type(field: Field) -> type:
    """Return the type that parses a value of a setting from text.

    It is `str` for a pool (a number of rows or a word), `float` for a setting whose default is
    None, else the annotated type: `bool`, `int`, `float` or `str`.
    """
    if field.name in POOL_WORDS:
        return str
    return float if field.default is None else field.type


def check_calibration_size(size: float | None) -> None:
    """Raise SettingsError if the size lies between 1, the largest fraction, and 2 rows."""
    if size is not None and 1 < size < 2:
        raise SettingsError(
            f"calibration_size is {size:g}, expected a fraction up to 1, or a number of rows from 2"
        )


def to_number(value: int | str) -> int | str:
    """Return decimal digits, such as "256", as an integer, anything else as it is."""
    return int(value) if str(value).isdecimal() else value


def pool_rows(settings: Settings, name: str) -> int | None:
    """Return the number of rows of a pool; None if the setting is a word such as `minibatch`.

    Args:
        name: a key of `POOL_WORDS`.

    Raises:
        SettingsError: it is neither a number of rows nor one of the words of `POOL_WORDS`.
    """
    value = str(getattr(settings, name))
    if value in POOL_WORDS[name]:
        return None
    if value.isdecimal() and 0 < int(value) <= MAX_COUNT:
        return int(value)
    words = ", ".join(POOL_WORDS[name])
    raise SettingsError(f"{name} is {value!r}, expected {words} or a number of rows")


def product_precision(settings: Settings) -> Literal["float32", "bfloat16"]:
    """Return the type that training rounds the operands of large products to.

    `auto` is float32 here; `calibrate.runtime.precision` replaces it according to the processor.
    """
    return "bfloat16" if settings.precision == "bfloat16" else "float32"
