"""CFR as a scikit-learn classifier, for features in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, make_dataclass
from numbers import Integral
from typing import Self

import numpy as np
from jaxtyping import Float, Int, Shaped
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.preprocessing import LabelEncoder
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from clip_cfr.cache.runs.apply_head import apply_head, to_probabilities
from clip_cfr.cache.wording import count_noun
from clip_cfr.calibrate import methods
from clip_cfr.calibrate.array_task import (
    CLIP_LOGIT_SCALE,
    TRAIN,
    VAL,
    Examples,
    InitialHead,
    hold_out,
    make_task,
)
from clip_cfr.calibrate.core.errors import SettingsError
from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.prepared import prepare
from clip_cfr.calibrate.core.settings import WORST_NAMED_GROUP, Settings
from clip_cfr.calibrate.methods.fitted import Fitted
from clip_cfr.calibrate.runtime import jax_setup
from clip_cfr.calibrate.runtime.precision import resolve_precision

# Features of other types are converted to the first one.
FEATURE_TYPES = (np.float32, np.float16)

# The fields of `Settings`, with their defaults, as parameters that are checked when fitting.
Hyperparameters = make_dataclass(
    "Hyperparameters",
    [(each.name, each.type, field(default=each.default)) for each in fields(Settings)],
    kw_only=True,
    eq=False,
    repr=False,
)


@dataclass(kw_only=True, eq=False, repr=False)
class CFRClassifier(ClassifierMixin, BaseEstimator, Hyperparameters):
    """Classifier of image features whose projection head CFR recalibrates.

    Every field of `clip_cfr.Settings` is a parameter too, with the same name and default, such as
    `lr`, `steps` and `selection`; `clip-cfr calibrate -h` explains each. Heads are those of
    `calibrate_cache` for the same rows, settings and seed. The estimator passes all of
    scikit-learn's estimator checks; it takes no sparse matrices and no sample weights.

    The head is selected on validation rows, by default by `inferred-groups`, without attributes.
    This works best if the validation rows do not share the correlation of labels and spurious
    attributes in the training rows. Without `fit(val=...)`, validation rows are drawn from the
    training rows and do share it; the criterion then sees only a part of what recalibration gains.
    Pass validation rows from elsewhere, or pass `attributes` and select by
    `selection="worst-group"`.

    Args:
        method: a name of `clip_cfr.calibrate.methods.METHODS`. `dfr` needs attributes of the
            validation rows; `group-dro` and `group-lr`, which need those of the training rows, are
            refused.
        random_state: seed of all random draws. An int makes `fit` reproducible, and is the seed
            of `calibrate_cache`.
        validation_fraction: share of the rows of each class that `fit` holds out for validation
            if `val` is not given.
        device: where JAX computes: `auto`, `cpu` or `gpu`.

    Attributes:
        classes_: labels of the classes, sorted.
        n_features_in_: number of features.
        feature_names_in_: names of the features, if `X` is a data frame.
        head_: arrays of the selected head, as in a run folder (cache/RUNS.md, "Heads").
        selected_step_: training step of the selected head; None for a method without steps.
        calibration_rows_: indices into `X` of the calibration set; None if `method` uses none.
        validation_rows_: indices into `X` of the held-out rows; None if `val` was given.
        history_: training log as columns by name, one entry for each evaluation; empty for a method
            without steps.

    Example:
        classifier = CFRClassifier(lr=1e-4, steps=1000)
        classifier.fit(X, y, val=(X_val, y_val), projection=W, class_embeddings=T)
        classifier.score(X_test, y_test)
    """

    method: str = "cfr"
    random_state: int | np.random.RandomState | None = 0
    validation_fraction: float = 0.2
    device: str = "auto"

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        val: Sequence[ArrayLike] | None = None,
        attributes: ArrayLike | None = None,
        projection: ArrayLike | None = None,
        bias: ArrayLike | None = None,
        class_embeddings: ArrayLike | None = None,
        clip_logit_scale: float = CLIP_LOGIT_SCALE,
    ) -> Self:
        """Train the head, select it on the validation rows, and return the estimator itself.

        Args:
            X: (n, dim) pooled image features, not normalized. float16 is kept; other types are
                converted to float32.
            y: (n,) class labels, numbers or strings.
            val: validation rows as `(X, y)` or `(X, y, attributes)`; by default
                `validation_fraction` of the training rows, see the class.
            attributes: (n,) spurious attribute of the rows of `X`. Read only for rows held out
                for validation, and only by `selection="worst-group"` and `method="dfr"`.
            projection: (dim, embedding) projection of CLIP; by default the identity.
            bias: (embedding,) its bias; by default it has none.
            class_embeddings: (classes, embedding) of the prompts, in the order of `classes_`; by
                default the unit-length class means of the embeddings of the training rows, so that
                zero-shot is a nearest-mean classifier that has seen the training labels.
            clip_logit_scale: logit scale of CLIP, for the zero-shot head. Training starts from the
                parameter `logit_scale`.

        Raises:
            ValueError: an array has the wrong shape, is not finite or does not fit the others.
            SettingsError: a parameter is out of its range.
            CalibrationError: training is impossible or diverged, for example because the
                identification head misclassifies no training row.
            MemoryError: training does not fit in device memory.
        """
        settings, seed = resolve_precision(self._settings()), seed_of(self.random_state)
        examples = self._examples(X, y, val, attributes, seed)
        check_attributes(self.method, settings, examples)
        head = InitialHead(projection, bias, class_embeddings, clip_logit_scale)
        task = make_task(examples, head, tuple(map(str, self.classes_)))
        jax_setup.start(self.device)
        with jax_setup.fixed_numerics():
            experiment = Experiment(prepare(task), settings, seed)
            self._set_fitted_attributes(experiment, methods.fit(self.method, experiment))
        return self

    def decision_function(self, X: ArrayLike) -> Float[np.ndarray, "..."]:
        """Return the scores (n, classes): logits, or log-odds for `method="dfr"`.

        For two classes it is the score of the second less that of the first, (n,).

        Args:
            X: (n, dim) pooled image features, not normalized; also in the other methods.

        Raises:
            NotFittedError: `fit` has not been called.
            ValueError: `X` has another number of features, or is not finite.
        """
        scores = self._scores(X)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def predict_proba(self, X: ArrayLike) -> Float[np.ndarray, "n classes"]:
        """Return the probability of each class in the order of `classes_`; rows sum to 1.

        Argument and errors are those of `decision_function`.
        """
        scores = self._scores(X)
        return to_probabilities(self.head_, scores)

    def predict(self, X: ArrayLike) -> Shaped[np.ndarray, " n"]:
        """Return the label of the most probable class of each row, from `classes_`.

        Argument and errors are those of `decision_function`.
        """
        best = self._scores(X).argmax(axis=1)
        return self.classes_[best]

    def _settings(self) -> Settings:
        """Return the parameters that are settings, checked."""
        if self.method not in methods.METHODS:
            known = ", ".join(methods.METHODS)
            raise SettingsError(f"method is {self.method!r}, expected one of: {known}")
        return Settings(**{each.name: getattr(self, each.name) for each in fields(Settings)})

    def _examples(self, X, y, val, attributes, seed: int) -> Examples:
        """Check the rows given to `fit`, and set the attributes that they determine."""
        X, y = validate_data(self, X, y, dtype=FEATURE_TYPES)
        check_classification_targets(y)
        encoder = LabelEncoder().fit(y)
        self.classes_, labels = encoder.classes_, encoder.transform(y)
        if len(self.classes_) < 2:
            raise ValueError(f"y holds only one class, '{y[0]}'; expected at least two")
        if val is not None:
            self.validation_rows_ = None
            return self._join(X, labels, val, encoder)
        held_out = hold_out(np.random.default_rng(seed), labels, self.validation_fraction)
        self.validation_rows_ = np.flatnonzero(held_out)
        if attributes is not None:
            attributes = as_column(attributes, "attributes", X)[held_out]
        return Examples(X, labels, np.where(held_out, VAL, TRAIN), attributes)

    def _join(self, X, labels, val: Sequence[ArrayLike], encoder: LabelEncoder) -> Examples:
        """Check the validation rows, and append them to the training rows."""
        if len(val) not in (2, 3):
            found = count_noun(len(val), "entry", "entries")
            raise ValueError(f"val has {found}, expected (X, y) or (X, y, attributes)")
        X_val = validate_data(self, val[0], reset=False, dtype=FEATURE_TYPES)
        return Examples(
            features=np.concatenate([X, X_val]),
            labels=np.concatenate([labels, encode_val(encoder, val[1], X_val)]),
            splits=np.repeat([TRAIN, VAL], [len(X), len(X_val)]),
            val_attributes=as_column(val[2], "attributes of val", X_val) if val[2:] else None,
        )

    def _set_fitted_attributes(self, experiment: Experiment, fitted: Fitted) -> None:
        """Set the attributes that training determines."""
        selection = experiment.settings.selection
        self.head_ = fitted.classifiers[selection].arrays(experiment)
        self.selected_step_ = fitted.selected_steps.get(selection)
        self.history_ = fitted.history
        uses_set = methods.load_method(self.method).uses_calibration_set
        self.calibration_rows_ = experiment.calibration_set.rows if uses_set else None

    def _scores(self, X: ArrayLike) -> Float[np.ndarray, "n classes"]:
        """Check features and return the score of each class."""
        check_is_fitted(self, "head_")
        return apply_head(self.head_, validate_data(self, X, reset=False, dtype=FEATURE_TYPES))


def seed_of(random_state: int | np.random.RandomState | None) -> int:
    """Return a seed: an int unchanged, otherwise one drawn from the random state.

    A RandomState advances with each draw; None draws from numpy's global one.
    """
    if isinstance(random_state, Integral):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))


def as_column(values: ArrayLike, name: str, features: np.ndarray) -> Shaped[np.ndarray, " n"]:
    """Return values as a one-dimensional array with one entry for each row of features.

    Raises:
        ValueError: there are more or fewer values, which the message calls `name`, or they are not
            one-dimensional.
    """
    column = column_or_1d(values)
    if len(column) != len(features):
        found = count_noun(len(column), "entry", "entries")
        raise ValueError(f"{name} has {found}, expected {len(features)}")
    return column


def encode_val(
    encoder: LabelEncoder, labels: ArrayLike, features: np.ndarray
) -> Int[np.ndarray, " n"]:
    """Return the class index of each validation row.

    Raises:
        ValueError: a label does not occur in the training rows, or there are not as many labels as
            rows of `features`.
    """
    column, known = as_column(labels, "y of val", features), set(encoder.classes_.tolist())
    unknown = [each for each in dict.fromkeys(column.tolist()) if each not in known]
    if unknown:
        raise ValueError(f"y of val holds {unknown}, expected labels that occur in y")
    return encoder.transform(column)


def check_attributes(method: str, settings: Settings, examples: Examples) -> None:
    """Raise ValueError if attributes of the validation rows are needed and missing.

    They are needed by the selection `worst-group` and by a method that uses group labels of val.
    A method that uses those of the training rows, which are not read, is refused.
    """
    if methods.load_method(method).group_labels == "train":
        raise ValueError(
            f"method={method!r} needs the attributes of the training rows, which the estimator "
            "does not read: use calibrate_cache on a cache with attributes"
        )
    if settings.selection == WORST_NAMED_GROUP:
        raise ValueError(
            f"selection={WORST_NAMED_GROUP!r} needs attributes named in words, which the estimator "
            "does not read: use calibrate_cache with attributes=..., or select by another criterion"
        )
    if examples.val_attributes is not None:
        return
    if settings.selection == "worst-group":
        reader = "selection='worst-group'"
    elif methods.load_method(method).group_labels == "val":
        reader = f"method={method!r}"
    else:
        return
    raise ValueError(
        f"{reader} needs the attributes of the validation rows: pass attributes=..., or "
        "val=(X, y, attributes)"
    )
