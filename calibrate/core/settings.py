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
    """Hyperparameters of a calibration, each with a help text and the source of its default.

    Values are checked on construction. Afterwards `nns_pool` is a string, also for a number of rows
    ("256"), and `positive_pool` and `negative_pool` are an int, or "minibatch".

    Raises:
        SettingsError: a value is out of its range or not among its choices.

    References:
        The paper: arXiv 2403.07241. The authors' code: the preset `release`. docs/defaults.md has
        the measurements by which the other defaults were chosen.
    """

    lr: float = option(
        3e-3,
        "Learning rate of CFR, CnC and the adapters.",
        "The authors' code has 0.0001.",
        within=POSITIVE,
        search=Range(1e-5, 1e-1),
    )
    steps: int = option(
        2000,
        "Training steps of CFR, CnC and the adapters.",
        "The authors' code has 3,700.",
        within=COUNT,
    )
    identification_lr: float = option(
        1e-3,
        "Learning rate of the identification head, a short ERM. The training rows that it "
        "misclassifies are the calibration set, from which CFR learns.",
        "The authors' code has 0.0001.",
        within=POSITIVE,
    )
    identification_steps: int = option(
        400,
        "Training steps of the identification head.",
        "The authors' code has 4,000.",
        within=COUNT,
    )
    erm_lr: float = option(
        1e-2,
        "Learning rate of ERM, JTT, group DRO and AFR.",
        "The authors' code has 0.0001.",
        within=POSITIVE,
        search=Range(1e-4, 1e-1),
    )
    erm_steps: int = option(
        2000,
        "Training steps of ERM, JTT, group DRO and AFR.",
        "The authors' code has 4,000.",
        within=COUNT,
    )
    momentum: float = option(
        0.9,
        "Momentum of SGD, in all stages.",
        "As in the authors' code.",
        within=FRACTION,
    )
    weight_decay: float = option(
        1e-5,
        "Weight decay of projection and bias, in all stages. The logit scale has none.",
        "As in the authors' code.",
        within=Range(),
        search=Range(1e-6, 1e-2),
    )
    batch_size: int = option(
        128,
        "Number of training rows in a minibatch, in all stages.",
        "As in the authors' code.",
        within=COUNT,
    )
    calibration_batch_size: int = option(
        128,
        "Number of rows of the calibration set in a minibatch of CFR. They are the anchors of the "
        "contrastive loss.",
        "As in the authors' code.",
        within=COUNT,
    )
    positive: str = option(
        "dps",
        "Positives of an anchor: CFR moves it towards them. dps (dynamic positive centroid "
        "sampling): the moving-average centroid of its class. rps (random positive sampling): "
        "random training rows of its class.",
        "As in the paper; the authors' code has rps.",
        choices=("dps", "rps"),
    )
    negative: str = option(
        "rns",
        "Negatives of an anchor: CFR moves it away from them. rns (random negative sampling): "
        "random training rows of other classes. nns (nearest-neighbour negative sampling): those "
        "that are most similar to the anchor.",
        "As in the paper; the authors' code has nns.",
        choices=("rns", "nns"),
    )
    num_positives: int = option(
        16,
        "Number of positives of each anchor with --positive rps. With dps there is one, the "
        "centroid.",
        "As in the authors' code.",
        within=COUNT,
    )
    num_negatives: int = option(
        16,
        "Number of negatives of each anchor.",
        "As in the authors' code.",
        within=COUNT,
    )
    positive_source: str = option(
        "correct",
        "Training rows that --positive rps draws from. all: every row. correct: those that the "
        "identification head classifies correctly.",
        "As in the authors' code.",
        choices=("all", "correct"),
    )
    positive_pool: int | str = option(
        256,
        "Rows that --positive rps draws from in a step. N: N random training rows, of which an "
        "anchor takes --num-positives. minibatch: all rows of its class in the training "
        "minibatch, which is faster.",
    )
    negative_pool: int | str = option(
        "minibatch",
        "Rows that --negative rns draws from in a step. minibatch: all rows of other classes in "
        "the training minibatch, weighted as --num-negatives rows. N: N random training rows, of "
        "which an anchor takes --num-negatives, which is slower.",
    )
    nns_pool: int | str = option(
        "all",
        "Rows in which --negative nns searches. all: the training split, once before the stage, "
        "under the identification head. minibatch: the training minibatch of each step. N: N "
        "random training rows in each step.",
    )
    dps_source: str = option(
        "identification",
        "Head that decides which rows update the dps centroids: those that it classifies "
        "correctly. identification: the identification head. zeroshot: CLIP's own.",
        "As in the paper.",
        choices=("identification", "zeroshot"),
    )
    dps_momentum: float = option(
        0.9,
        "Momentum of the moving average of the dps centroids.",
        within=FRACTION,
    )
    dps_weighting: str = option(
        "none",
        "Weight of a row in its dps centroid. none: 1. confidence: the probability of its class. "
        "entropy: 1 minus the normalized entropy of its prediction.",
        "The paper leaves this open.",
        choices=("none", "confidence", "entropy"),
    )
    temperature: float = option(
        1.0,
        "Temperature of CFR's contrastive loss.",
        "As in the authors' code.",
        within=POSITIVE,
        search=Range(0.03, 3.0),
    )
    holistic: str = option(
        "cosine",
        "Third loss of CFR, beside cross-entropy and contrastive loss, over the training "
        "minibatch. cosine: the mean cosine similarity between classes minus that within classes. "
        "supcon: the supervised contrastive loss. none: no third loss.",
        "As in the paper; the authors' code has supcon.",
        choices=("cosine", "supcon", "none"),
    )
    holistic_weight: float = option(
        0.1,
        "Weight of the loss that --holistic names, lambda in the paper.",
        "The paper has 1.",
        within=Range(),
        search=Range(0.0, 2.0),
    )
    supcon_temperature: float = option(
        0.07,
        "Temperature of --holistic supcon.",
        "As in the authors' code.",
        within=POSITIVE,
    )
    alpha: float = option(
        1.0,
        "Weight of CFR's cross-entropy and contrastive loss.",
        "As in the paper; the authors' code has 1.5.",
        within=Range(),
        search=Range(0.25, 4.0),
    )
    alpha_schedule: str = option(
        "constant",
        "Change of --alpha during training. constant: none. cosine: alpha times (1 + cos(2 pi "
        "e/E)/2) after e of E evaluations.",
        "The authors' code has cosine but never uses it.",
        choices=("constant", "cosine"),
    )
    cross_entropy: str = option(
        "both",
        "Rows of CFR's cross-entropy. calibration: the minibatch of the calibration set. train: "
        "the training minibatch. both: both of them.",
        "The authors' code has calibration.",
        choices=("calibration", "train", "both"),
    )
    init: str = option(
        "clip",
        "Head that CFR starts from. clip: CLIP's own. identification: the identification head.",
        "As in the authors' code.",
        choices=("clip", "identification"),
        search=("clip", "identification"),
    )
    logit_scale: float = option(
        1 / 0.07,
        "Factor of the cosine similarities in the logits, at the start of all stages.",
        "As in the authors' code.",
        within=POSITIVE,
    )
    freeze_logit_scale: bool = option(
        False,
        "Keep the logit scale fixed instead of training it.",
        "The authors' code trains it.",
    )
    dropout: float = option(
        0.1,
        "Dropout rate of the embeddings in training.",
        "As in the authors' code.",
        within=Range(high=0.99),
        search=Range(0.0, 0.5),
    )
    calibration_source: str = option(
        "identification",
        "Head whose misclassified training rows are the calibration set. identification: the "
        "identification head. zeroshot: CLIP's own.",
        "As in the paper.",
        choices=("identification", "zeroshot"),
    )
    calibration_size: float | None = option(
        None,
        "Number of rows of the calibration set to use, from 2, or a fraction of them, up to 1. By "
        "default all.",
        "As in the paper.",
        within=POSITIVE,
    )
    calibration_subset: str = option(
        "random",
        "Rows to use if --calibration-size leaves some out. random: random ones. confident: those "
        "that are misclassified with the largest margin.",
        choices=("random", "confident"),
    )
    calibration_minimum: int = option(
        2,
        "Smallest number of rows of a calibration set; --calibration-fallback tells what happens "
        "below it.",
        within=COUNT,
    )
    calibration_fallback: str = option(
        "none",
        "Remedy if too few training rows are misclassified. none: the method stops with an error. "
        "margin: the training rows of smallest margin are the calibration set.",
        choices=("none", "margin"),
    )
    selection: str = option(
        "inferred-groups",
        "Accuracy on the validation split that selects the head of each method. inferred-groups: "
        "the mean of worst-class accuracy, average accuracy, and the accuracy on images that "
        "CLIP's own head gets right and on those that it gets wrong. worst-class, average: one of "
        "these alone. worst-named-group: the lowest accuracy of a group named in words; if one has "
        "fewer than 3 images, as inferred-groups with these groups; the default with --attribute. "
        "worst-group: the lowest accuracy of a labelled group, an oracle, since it needs group "
        "labels. last: none, the head of the last step.",
        "The authors' code has worst-group.",
        choices=SELECTIONS,
    )
    evaluations: int = option(
        100,
        "Number of evaluations on the validation split in each stage. The selected head is that "
        "of one of them.",
        "As in the authors' code.",
        within=COUNT,
    )
    patience: int = option(
        0,
        "Stop a stage after N evaluations in which the validation accuracy did not improve: "
        "neither on average, nor of the worst class, nor by the criterion of --selection. 0: "
        "never stop early.",
        within=Range(),
    )
    precision: str = option(
        "auto",
        "Number type of the large matrix products in training. float32, bfloat16: this type. auto: "
        "bfloat16 on a CPU with instructions for it, else float32. All other numbers are float32.",
        choices=("auto", "float32", "bfloat16"),
    )
    dfr_subsamples: int = option(
        20,
        "Number of group-balanced subsamples that DFR averages over.",
        "As in Kirichenko et al. 2023.",
        within=COUNT,
    )

    jtt_upweight: int = option(
        20,
        "How often JTT counts a row of the calibration set.",
        "Liu et al. 2021 have 100 on Waterbirds, 50 on CelebA.",
        within=COUNT,
        search=(5, 10, 20, 50, 100),
    )

    group_dro_step: float = option(
        0.01,
        "Step size of the group weights of group DRO. Each step multiplies a weight by exp(step "
        "size x loss of the group).",
        "As in the code of Sagawa et al. 2020.",
        within=Range(),
        search=Range(1e-3, 1e-1),
    )

    cnc_weight: float = option(
        0.75,
        "Weight of the contrastive loss of CnC. Its cross-entropy has 1 minus this weight.",
        "Zhang et al. 2022 tuned it.",
        within=FRACTION,
        search=Range(0.1, 0.9),
    )
    cnc_temperature: float = option(
        0.1,
        "Temperature of the contrastive loss of CnC.",
        "Zhang et al. 2022 tuned it.",
        within=POSITIVE,
        search=Range(0.03, 1.0),
    )

    resample: bool = option(
        False,
        "Draw the training rows, or subjects, of each class anew for each seed, with replacement. "
        "The deviation over seeds then includes the choice of training images.",
    )
    adapter_dim: int = option(
        128,
        "Dimension of the bottleneck of an adapter.",
        "As in Zhang and Re 2022.",
        within=COUNT,
    )
    adapter_temperature: float = option(
        0.1,
        "Temperature of the contrastive loss of the contrastive adapter.",
        "As in Zhang and Re 2022.",
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
