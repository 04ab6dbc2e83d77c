"""CFRClassifier: scikit-learn's interface, and the numbers of `calibrate_cache`."""

import inspect
from collections.abc import Container
from dataclasses import asdict, fields, replace

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

from clip_cfr.cache import read_run, write_cache
from clip_cfr.calibrate import CFRClassifier, Settings, calibrate_cache
from clip_cfr.calibrate.core.errors import CalibrationError, SettingsError
from clip_cfr.calibrate.core.task import Task
from clip_cfr.calibrate.methods import METHODS, load_method
from clip_cfr.calibrate.progress import SilentReporter
from tests.calibrate.synthetic import cache_of, make_task, quick_settings, unit

QUICK = asdict(quick_settings())
# The methods that the estimator fits: those without group labels of training rows.
FITTED = [name for name in METHODS if load_method(name).group_labels != "train"]
# Of scikit-learn's data the identification head misclassifies nothing: without the fallback CFR is
# an error.
FEW_STEPS = {
    **QUICK,
    "steps": 20,
    "identification_steps": 20,
    "erm_steps": 20,
    "batch_size": 16,
    "calibration_batch_size": 8,
    "calibration_fallback": "margin",
}
# Checks on what training yields; all others read, check and pass on the arrays of the caller.
CHECKS_OF_TRAINING = {
    "check_classifiers_train",
    "check_dict_unchanged",
    "check_fit_idempotent",
    "check_methods_subset_invariance",
}


def sklearn_checks(classifier: CFRClassifier, names: Container[str] | None = None) -> list:
    """Return scikit-learn's checks of an estimator, all or those of some names, as parameters."""
    return [
        pytest.param(estimator, check, id="-".join([check.func.__name__, *map(str, check.args)]))
        for estimator, check in estimator_checks_generator(classifier)
        if names is None or check.func.__name__ in names
    ]


@pytest.mark.parametrize(("estimator", "check"), sklearn_checks(CFRClassifier(method="zeroshot")))
def test_zero_shot_passes_all_checks_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.parametrize(
    ("estimator", "check"), sklearn_checks(CFRClassifier(**FEW_STEPS), CHECKS_OF_TRAINING)
)
def test_cfr_passes_the_checks_of_scikit_learn_that_depend_on_training(estimator, check):
    check(estimator)


def shuffled(task: Task, seed: int = 0) -> Task:
    """Return a task with its rows, and so its splits, in random order."""
    order = np.random.default_rng(seed).permutation(len(task.labels))
    columns = ("features", "valid", "labels", "attributes", "splits")
    return replace(task, **{name: getattr(task, name)[order] for name in columns})


@pytest.fixture(scope="module")
def mixed_task():
    """A task whose splits take turns, and that has a bias."""
    return shuffled(make_task(bias=True))


@pytest.fixture(scope="module")
def run(mixed_task, tmp_path_factory):
    """Results and run folder of `calibrate_cache` on the task."""
    folder = tmp_path_factory.mktemp("estimator")
    write_cache(folder / "mixed.h5", cache_of(mixed_task))
    result = calibrate_cache(
        folder / "mixed.h5",
        quick_settings(),
        methods=METHODS,
        seeds=[3],
        out=folder / "run",
        reporter=SilentReporter(),
    )
    return result, read_run(folder / "run")


def fit_on(task: Task, classifier: CFRClassifier) -> CFRClassifier:
    """Fit on the training rows of a task, with its validation rows, labels as names."""
    names = np.array(task.class_names)[task.labels]
    train, val = task.rows("train"), task.rows("val")
    return classifier.fit(
        task.features[train],
        names[train],
        val=(task.features[val], names[val], task.attributes[val]),
        projection=task.projection,
        bias=task.bias,
        class_embeddings=task.class_embeddings,
        clip_logit_scale=task.logit_scale,
    )


@pytest.mark.parametrize("method", FITTED)
def test_head_equals_that_of_the_run_folder(method, mixed_task, run):
    classifier = fit_on(mixed_task, CFRClassifier(method=method, random_state=3, **QUICK))
    expected = run[1].heads[f"{method}-seed3"]
    assert classifier.head_.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(classifier.head_[name], array, err_msg=name)


def test_calibration_rows_selected_step_and_log_equal_those_of_the_run(mixed_task, run):
    result, folder = run
    classifier = fit_on(mixed_task, CFRClassifier(random_state=3, **QUICK))
    rows = mixed_task.rows("train")[classifier.calibration_rows_]
    np.testing.assert_array_equal(rows, folder.calibration_rows["row"].astype(int))
    selected = result.methods["cfr"].seeds[0].by_selection["inferred-groups"].step
    assert classifier.selected_step_ == selected
    np.testing.assert_array_equal(classifier.history_["step"], folder.history["cfr-seed3"]["step"])
    assert classifier.validation_rows_ is None


@pytest.mark.parametrize("method", FITTED)
def test_probabilities_equal_those_of_the_run(method, mixed_task, run):
    result, _ = run
    classifier = fit_on(mixed_task, CFRClassifier(method=method, random_state=3, **QUICK))
    expected = result.artifacts.predictions[method, 3]["test"]
    features = mixed_task.features[expected.rows]
    found = classifier.predict_proba(features)
    np.testing.assert_allclose(found, expected.probabilities, atol=1e-5)
    labels = np.array(mixed_task.class_names)[mixed_task.labels[expected.rows]]
    average = result.methods[method].seeds[0].by_selection["inferred-groups"].test.average
    assert classifier.score(features, labels) == pytest.approx(average)
    ranks = classifier.decision_function(features) > 0
    assert (classifier.classes_[ranks.astype(int)] == classifier.predict(features)).all()


def test_attributes_select_the_worst_group_head(mixed_task, run):
    result, _ = run
    settings = {**QUICK, "selection": "worst-group"}
    classifier = fit_on(mixed_task, CFRClassifier(random_state=3, **settings))
    expected = result.methods["cfr"].seeds[0].by_selection["worst-group"].step
    assert classifier.selected_step_ == expected


@pytest.mark.parametrize(
    ("parameters", "reader"),
    [
        ({"selection": "worst-group"}, "selection='worst-group'"),
        ({"method": "dfr"}, "method='dfr'"),
    ],
)
def test_missing_attributes_are_an_error(parameters, reader, task):
    with pytest.raises(ValueError, match="needs the attributes") as error:
        CFRClassifier(**parameters).fit(task.features, task.labels)
    assert str(error.value) == (
        f"{reader} needs the attributes of the validation rows: pass attributes=..., or "
        "val=(X, y, attributes)"
    )


@pytest.mark.parametrize("method", [name for name in METHODS if name not in FITTED])
def test_group_labels_of_training_rows_are_refused(task, method):
    with pytest.raises(ValueError, match=method) as error:
        CFRClassifier(method=method).fit(task.features, task.labels, attributes=task.attributes)
    assert str(error.value) == (
        f"method={method!r} needs the attributes of the training rows, which the estimator does "
        "not read: use calibrate_cache on a cache with attributes"
    )


def test_without_validation_rows_a_share_of_each_class_is_held_out(task):
    rows = np.flatnonzero((task.splits == 0) & (np.arange(len(task.splits)) < 650))
    features, labels = task.features[rows], task.labels[rows]
    classifier = CFRClassifier(validation_fraction=0.25, **QUICK).fit(features, labels)
    held_out = classifier.validation_rows_
    assert np.bincount(labels[held_out]).tolist() == np.round(np.bincount(labels) / 4).tolist()
    assert not set(held_out) & set(classifier.calibration_rows_)
    rest = np.setdiff1d(np.arange(650), held_out)
    explicit = CFRClassifier(**QUICK).fit(
        features[rest], labels[rest], val=(features[held_out], labels[held_out])
    )
    for name, array in explicit.head_.items():
        np.testing.assert_array_equal(classifier.head_[name], array, err_msg=name)
    assert rest[explicit.calibration_rows_].tolist() == classifier.calibration_rows_.tolist()


def test_attributes_of_held_out_rows_are_read(task):
    parameters = {"method": "dfr", "dfr_subsamples": 1}
    plain, renamed = (
        CFRClassifier(**parameters).fit(task.features, task.labels, attributes=attributes)
        for attributes in (task.attributes, np.array(["green", "red"])[task.attributes])
    )
    other = CFRClassifier(**parameters).fit(task.features, task.labels, attributes=task.labels)
    np.testing.assert_array_equal(plain.head_["linear_weight"], renamed.head_["linear_weight"])
    assert np.abs(plain.head_["linear_weight"] - other.head_["linear_weight"]).max() > 1e-3


def test_parameters_are_the_settings_and_four_more():
    parameters = inspect.signature(CFRClassifier).parameters
    defaults = {name: each.default for name, each in parameters.items()}
    own = {"method": "cfr", "random_state": 0, "validation_fraction": 0.2, "device": "auto"}
    assert defaults == {**{each.name: each.default for each in fields(Settings)}, **own}
    assert all(each.kind is inspect.Parameter.KEYWORD_ONLY for each in parameters.values())


def test_parameters_survive_get_set_and_clone():
    classifier = clone(CFRClassifier(lr=0.5, steps=7).set_params(steps=9, method="erm"))
    parameters = classifier.get_params()
    assert (parameters["lr"], parameters["steps"], parameters["method"]) == (0.5, 9, "erm")
    assert repr(classifier) == "CFRClassifier(lr=0.5, method='erm', steps=9)"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"lr": -1.0}, "lr is -1.0, expected above 0"),
        ({"method": "mlp"}, f"method is 'mlp', expected one of: {', '.join(METHODS)}"),
    ],
)
def test_settings_are_checked_when_fitting(parameters, message, task):
    classifier = CFRClassifier(**parameters)
    with pytest.raises(SettingsError) as error:
        classifier.fit(task.features, task.labels)
    assert str(error.value) == message


FEATURES, LABELS = np.eye(4, 3), np.array(["a", "b", "a", "b"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"projection": np.eye(4)}, "projection has shape (4, 4), expected (3, 4)"),
        ({"projection": np.ones(3)}, "projection has shape (3,), expected (3, 3)"),
        ({"bias": np.ones(2)}, "bias has shape (2,), expected (3,)"),
        ({"bias": [0, 0, np.nan]}, "Input bias contains NaN."),
        ({"class_embeddings": np.eye(3)}, "class_embeddings has shape (3, 3), expected (2, 3)"),
        ({"attributes": [0]}, "attributes has 1 entry, expected 4"),
        ({"val": (FEATURES,)}, "val has 1 entry, expected (X, y) or (X, y, attributes)"),
        ({"val": (FEATURES, LABELS[1:])}, "y of val has 3 entries, expected 4"),
        (
            {"val": (FEATURES, LABELS, [1, 2])},
            "attributes of val has 2 entries, expected 4",
        ),
        (
            {"val": (FEATURES, np.array(["a", "b", "c", "a"]))},
            "y of val holds ['c'], expected labels that occur in y",
        ),
        (
            {"val": (FEATURES[:, 1:], LABELS)},
            "X has 2 features, but CFRClassifier is expecting 3 features as input.",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_an_error(arguments, message):
    with pytest.raises(ValueError, match=r"expected|contains|expecting") as error:
        CFRClassifier(method="zeroshot").fit(FEATURES, LABELS, **arguments)
    assert str(error.value) == message


@pytest.mark.parametrize("fraction", [0, 1, -0.5])
def test_the_validation_fraction_is_a_proper_fraction(fraction):
    with pytest.raises(ValueError, match="validation_fraction") as error:
        CFRClassifier(method="zeroshot", validation_fraction=fraction).fit(FEATURES, LABELS)
    assert str(error.value) == (
        f"validation_fraction is {fraction}, expected a number between 0 and 1"
    )


def test_a_class_with_one_row_keeps_it_for_training():
    labels = ["a", "b", "b", "a", "c"]
    classifier = CFRClassifier(method="zeroshot").fit(np.eye(5), labels)
    assert sorted(np.array(labels)[classifier.validation_rows_]) == ["a", "b"]


def test_rows_cannot_be_held_out_of_classes_with_one_row_each():
    with pytest.raises(ValueError, match="single row") as error:
        CFRClassifier(method="zeroshot").fit(np.eye(2), ["a", "b"])
    assert str(error.value) == (
        "every class of y has a single row, so that no row can be held out for validation; "
        "pass val=(X, y)"
    )


def test_an_empty_calibration_set_is_an_error_that_says_what_to_change():
    features, labels = np.repeat(np.eye(2), 20, axis=0), np.repeat([0, 1], 20)
    with pytest.raises(CalibrationError, match="misclassifies 0 training rows"):
        CFRClassifier(**QUICK).fit(features, labels)


def test_a_failed_fit_leaves_the_estimator_unfitted():
    classifier = CFRClassifier(method="zeroshot")
    with pytest.raises(ValueError, match="projection"):
        classifier.fit(FEATURES, LABELS, projection=np.eye(2))
    with pytest.raises(NotFittedError):
        classifier.predict(FEATURES)


def test_zero_shot_without_class_embeddings_is_a_nearest_mean_classifier(task):
    train, val = task.rows("train"), task.rows("val")
    features, labels = task.features[train], task.labels[train]
    classifier = CFRClassifier(method="zeroshot").fit(
        features, labels, val=(task.features[val], task.labels[val])
    )
    np.testing.assert_allclose(classifier.head_["projection"], np.eye(24), rtol=1e-6)
    means = unit(np.stack([unit(features[labels == each]).mean(axis=0) for each in (0, 1)]))
    np.testing.assert_allclose(classifier.head_["class_embeddings"], means, rtol=1e-5, atol=1e-6)
    nearest = (unit(task.features) @ means.T).argmax(axis=1)
    assert (classifier.predict(task.features) == nearest).all()
    cosines = unit(task.features[val]) @ means.T
    difference = 100 * (cosines[:, 1] - cosines[:, 0])
    np.testing.assert_allclose(
        classifier.decision_function(task.features[val]), difference, atol=1e-3
    )


def test_class_embeddings_of_other_lengths_are_scaled_to_one(task):
    classifier = CFRClassifier(method="zeroshot").fit(
        task.features, task.labels, class_embeddings=3 * np.eye(2, 24)
    )
    np.testing.assert_allclose(classifier.head_["class_embeddings"], np.eye(2, 24), rtol=1e-6)
    assert classifier.selected_step_ is None
    assert classifier.calibration_rows_ is None
    assert classifier.history_ == {}


@pytest.mark.parametrize("random_state", [5, np.int64(5), np.random.RandomState(1), None])
def test_any_random_state_of_scikit_learn_will_do(random_state):
    classifier = CFRClassifier(method="zeroshot", random_state=random_state)
    features, labels = np.repeat(np.eye(2), 20, axis=0), np.repeat([0, 1], 20)
    assert classifier.fit(features, labels).score(features, labels) == 1


def test_it_works_in_a_grid_search_over_a_pipeline(task):
    pipeline = make_pipeline(StandardScaler(), CFRClassifier(**FEW_STEPS))
    grid = {"cfrclassifier__lr": [1e-6, 1e-3], "cfrclassifier__selection": ["worst-group"]}
    search = GridSearchCV(pipeline, grid, cv=2, error_score="raise")
    search.fit(task.features, task.labels, cfrclassifier__attributes=task.attributes)
    assert search.best_params_["cfrclassifier__lr"] in (1e-6, 1e-3)
    assert search.score(task.features, task.labels) > 0.7
    assert len(search.best_estimator_["cfrclassifier"].validation_rows_) == 328
