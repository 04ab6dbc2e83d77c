"""One experiment: a task, settings and a seed, with the ERM stage that several methods share."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from clip_cfr.calibrate.core.calibration_set import CalibrationSet, calibration_set
from clip_cfr.calibrate.core.divergence import refuse_divergence
from clip_cfr.calibrate.core.head import (
    Data,
    Features,
    Head,
    StoredFeatures,
    Units,
    all_logits,
    arrays_of,
    clip_head,
    measure_units,
    on_device,
)
from clip_cfr.calibrate.core.objectives import ErmObjective
from clip_cfr.calibrate.core.sampling import minibatches
from clip_cfr.calibrate.core.settings import CRITERIA, Settings
from clip_cfr.calibrate.core.task import Task
from clip_cfr.calibrate.core.train import Leg, SgdSettings, Stage, Trained, evaluation_steps, train
from clip_cfr.calibrate.core.windows import Window, windows

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
    """A task with what all seeds and settings share; its features are on the device.

    Where `held` is a number they are not: so many rows of them at a time are.
    """

    task: Task
    units: Units
    features: Features | StoredFeatures
    class_embeddings: Float[Array, "classes embedding"]
    held: int | None = None

    @cached_property
    def everything(self) -> Data:
        """The data of a window that holds all rows."""
        return self.data_with(self.features, self.task.labels, self.task.rows("val"))

    def data(self, window: Window) -> Data:
        """What the training loop reads while a window is held."""
        if window.rows is None:
            return self.everything
        features = on_device(window.take(self.task.features), self.units)
        places = window.places(self.task.rows("val"))
        return self.data_with(features, window.take(self.task.labels), places)

    def data_with(self, features: Features, labels, val_rows) -> Data:
        task = self.task
        return Data(
            features=features,
            labels=jnp.asarray(labels),
            class_embeddings=self.class_embeddings,
            val_rows=jnp.asarray(val_rows),
            val_groups=jnp.asarray(task.groups[task.rows("val")]),
            group_labels=jnp.arange(task.num_groups) // len(task.attribute_names),
        )


def prepare(task: Task, held: int | None = None) -> Prepared:
    """Puts the features of a task on the device, or so many rows at a time when they are needed."""
    units = measure_units(task)
    if held is None:
        features = on_device(task.features, units)
    else:
        features = StoredFeatures(task.features, jnp.float32(1 / units.features))
    return Prepared(task, units, features, jnp.asarray(task.class_embeddings), held)


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
        prepared = self.prepared
        return all_logits(head, prepared.features, prepared.class_embeddings, rows)

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
            self.keep_erm(train(ErmObjective(), self.erm_legs()))
        refuse_divergence(self.shared["erm"], "ERM", "--erm-lr", self.settings.erm_lr)
        return self.shared["erm"]

    def keep_erm(self, trained: Trained) -> None:
        """Takes what the ERM stage came to, for all who share it."""
        self.shared["erm"] = trained

    def erm_legs(self) -> Iterator[Leg]:
        """The ERM stage: one leg a window."""
        settings, rng = self.settings, self.rng("erm")
        points = evaluation_steps(settings.erm_steps, settings.evaluations)
        for window in self.windows(rng, points, np.zeros(0, np.int32)):
            stage = Stage(
                head=self.start(),
                memory=None,
                batches=minibatches(rng, window.train_rows, window.capacity, settings.batch_size),
                sgd=self.sgd_settings(settings.erm_lr),
                weights=jnp.float32(settings.dropout),
                key=self.key("erm"),
                first=window.points[0],
            )
            yield Leg(stage, self.prepared.data(window), window.points)

    def windows(
        self,
        rng: np.random.Generator,
        points: Int[np.ndarray, " points"],
        wrong: Int[np.ndarray, " wrong"],
    ) -> Iterator[Window]:
        """The windows of a stage that evaluates at these points; `wrong` is its calibration set."""
        held, size = self.prepared.held, self.settings.batch_size
        return windows(rng, self.task, held, points, size, wrong)

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
