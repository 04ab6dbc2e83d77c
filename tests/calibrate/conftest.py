"""Shapes and types checked at run time, cheap compilation, and the tasks that tests share."""

import os
from pathlib import Path

import jax
import pytest
from jaxtyping import install_import_hook

from tests.calibrate import typechecker

# The programs of these tests are tiny: compiling them takes all the time, and optimizing most of
# that. XLA reads this when it first computes.
os.environ.setdefault(
    "XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_cpu_parallel_codegen_split_count=1"
)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")
# The estimator accepts anything until `fit` checks it, as scikit-learn's conventions require.
CHECKED = [
    f"clip_cfr.calibrate.{path.stem}"
    for path in (Path(__file__).parents[2] / "calibrate").iterdir()
    if path.stem != "estimator"
]
# Must come before the first import of the package; test modules are imported after this one.
install_import_hook(CHECKED, f"{typechecker.__name__}.check")


@pytest.fixture(scope="session")
def task():
    """Two classes, two attributes that agree with them on 95 % of the training split."""
    from tests.calibrate.synthetic import make_task

    return make_task()


@pytest.fixture(scope="session")
def many_class_task():
    """Five classes and five attributes."""
    from tests.calibrate.synthetic import make_task

    return make_task(classes=5, sizes=(900, 450, 450))


@pytest.fixture(scope="session")
def prepared(task):
    """The task on the device."""
    from clip_cfr.calibrate.core.prepared import prepare

    return prepare(task)


@pytest.fixture(scope="session")
def experiment(prepared):
    """An experiment with few steps, whose shared stages all tests share."""
    from clip_cfr.calibrate.core.experiment import Experiment
    from tests.calibrate.synthetic import quick_settings

    return Experiment(prepared, quick_settings(), seed=0)


@pytest.fixture(scope="session")
def overlapping():
    """An experiment on classes that overlap: its best heads are neither the last, nor unique."""
    from clip_cfr.calibrate.core.experiment import Experiment
    from clip_cfr.calibrate.core.prepared import prepare
    from tests.calibrate.synthetic import make_task, quick_settings

    task = make_task(core=1, spurious=1)
    settings = quick_settings(identification_lr=1e-2, erm_lr=1e-2, lr=1e-2)
    return Experiment(prepare(task), settings, seed=4)


@pytest.fixture
def rng():
    import numpy as np

    return np.random.default_rng(0)
