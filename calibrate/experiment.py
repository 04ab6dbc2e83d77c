"""One experiment: a task, settings and a seed, with the ERM stage that several methods share."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from calibrate.calibration_set import CalibrationSet, calibration_set
from calibrate.divergence import refuse_divergence
from calibrate.head import (
    Data,
    Head,
    Units,
    all_logits,
    arrays_of,
    clip_head,
    measure_units,
    scaled_features,
)
from calibrate.objectives import ErmObjective
from calibrate.sampling import minibatches
from calibrate.settings import CRITERIA, Settings
from calibrate.task import Task
from calibrate.train import SgdSettings, Stage, Trained, evaluation_steps, train

STAGES = {"erm": 0, "calibration set": 1, "cfr": 2, "dfr": 3}
# The settings that the ERM stage depends on, and so everything that is read off its head.
ERM_SETTINGS = (
    "erm_lr",
    "erm_steps",
    "batch_size",
    "momentum",
    "weight_decay",
    "dropout",
    "logit_scale",
    "freeze_logit_scale",
    "evaluations",
)


@dataclass(frozen=True)
class Prepared:
    """A task whose arrays are on the device; made once for all seeds and settings."""

    task: Task
    units: Units
    data: Data


def prepare(task: Task) -> Prepared:
    """Puts the arrays of a task on the device."""
    units, val_rows = measure_units(task), task.rows("val")
    data = Data(
        features=scaled_features(task, units),
        labels=jnp.asarray(task.labels),
        class_embeddings=jnp.asarray(task.class_embeddings),
        val_rows=jnp.asarray(val_rows),
        val_groups=jnp.asarray(task.groups[val_rows]),
        group_labels=jnp.arange(task.num_groups) // len(task.attribute_names),
    )
    return Prepared(task, units, data)


@dataclass(frozen=True)
class Experiment:
    """What the methods work with; the ERM stage runs when it is first asked for, and once.

    `shared` keeps that stage, for all experiments that differ in nothing it depends on.
    """

    prepared: Prepared
    settings: Settings
    seed: int
    shared: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def task(self) -> Task:
        return self.prepared.task

    def with_settings(self, settings: Settings) -> "Experiment":
        """The experiment with other settings; it shares the ERM stage if that stays the same."""
        same = erm_settings(settings) == erm_settings(self.settings)
        return replace(self, settings=settings, shared=self.shared if same else {})

    def rng(self, stage: str) -> np.random.Generator:
        """The generator of a stage: a function of the seed and the stage alone."""
        return np.random.default_rng([self.seed, STAGES[stage]])

    def key(self, stage: str) -> jax.Array:
        """The JAX key of a stage: a function of the seed and the stage alone."""
        return jax.random.fold_in(jax.random.key(self.seed), STAGES[stage])

    def start(self) -> Head:
        """CLIP's own head with the logit scale to train from."""
        return clip_head(self.task, self.prepared.units, self.settings.logit_scale)

    def zeroshot(self) -> Head:
        """CLIP's own head with its own logit scale."""
        return clip_head(self.task, self.prepared.units, self.task.logit_scale)

    def sgd_settings(self, lr: float) -> SgdSettings:
        """The optimizer's settings with a stage's learning rate."""
        settings = self.settings
        trains = 0.0 if settings.freeze_logit_scale else 1.0
        numbers = (lr, settings.momentum, settings.weight_decay, trains)
        return SgdSettings(*map(jnp.float32, numbers))

    def logits(
        self, head: Head, rows: Int[np.ndarray, " rows"]
    ) -> Float[np.ndarray, "rows classes"]:
        """Logits of rows under a head."""
        data = self.prepared.data
        return all_logits(head, data.features, data.class_embeddings, rows)

    def probabilities(
        self, head: Head, rows: Int[np.ndarray, " rows"]
    ) -> Float[np.ndarray, "rows classes"]:
        """Class probabilities of rows under a head."""
        return np.asarray(jax.nn.softmax(self.logits(head, rows)))

    def arrays(self, head: Head) -> dict[str, np.ndarray]:
        """A head as numpy arrays in the units of the cache."""
        return arrays_of(head, self.prepared.units)

    @property
    def erm(self) -> Trained:
        """The ERM stage.

        Raises:
            CalibrationError: it diverged.
        """
        if "erm" not in self.shared:
            self.shared["erm"] = self._train_erm()
        return self.shared["erm"]

    def _train_erm(self) -> Trained:
        settings, rows = self.settings, self.task.rows("train")
        batches = minibatches(self.rng("erm"), rows, settings.erm_steps, settings.batch_size)
        stage = Stage(
            self.start(),
            None,
            batches,
            self.sgd_settings(settings.erm_lr),
            jnp.float32(settings.dropout),
            self.key("erm"),
        )
        points = evaluation_steps(settings.erm_steps, settings.evaluations)
        trained = train(ErmObjective(), stage, points, self.prepared.data)
        refuse_divergence(trained, "ERM", "--erm-lr", settings.erm_lr)
        return trained

    def source(self, name: str) -> Head:
        """The head that `erm` (its last step) or `zeroshot` stands for."""
        return self.erm.last if name == "erm" else self.zeroshot()

    def train_logits(self, name: str) -> Float[np.ndarray, "rows classes"]:
        """Logits of the training rows under a source head; computed once for all who ask."""
        place = f"{name} logits of the training rows"
        if place not in self.shared:
            self.shared[place] = self.logits(self.source(name), self.task.rows("train"))
        return self.shared[place]

    @cached_property
    def calibration_set(self) -> CalibrationSet:
        """Training rows that the source head gets wrong."""
        rows = self.task.rows("train")
        return calibration_set(
            self.rng("calibration set"),
            self.train_logits(self.settings.calibration_source),
            self.task.labels[rows],
            rows,
            self.settings,
            self.task.class_names,
        )


def erm_settings(settings: Settings) -> tuple:
    """What the ERM stage depends on."""
    return tuple(getattr(settings, name) for name in ERM_SETTINGS)


def selected_heads(trained: Trained) -> dict[str, Head]:
    """The head of each selection."""
    best = {
        name: jax.tree.map(lambda leaf, number=number: leaf[number], trained.best.heads)
        for number, name in enumerate(CRITERIA)
    }
    return {**best, "last": trained.last}
