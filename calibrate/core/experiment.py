"""One experiment: a task, settings and a seed, with the stages that methods share."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from clip_cfr.calibrate.core.calibration_set import CalibrationSet, select_calibration_set
from clip_cfr.calibrate.core.divergence import check_convergence
from clip_cfr.calibrate.core.head import AnyHead, Head, compute_logits
from clip_cfr.calibrate.core.objectives import ErmObjective
from clip_cfr.calibrate.core.prepared import Prepared
from clip_cfr.calibrate.core.resample import resample_train
from clip_cfr.calibrate.core.sampling import draw_minibatches
from clip_cfr.calibrate.core.segments import (
    Segment,
    SgdSettings,
    Stage,
    evaluation_steps,
    evaluations_per_call,
    split_segments,
)
from clip_cfr.calibrate.core.selection import Patience, make_patience
from clip_cfr.calibrate.core.settings import Settings, product_precision
from clip_cfr.calibrate.core.stage_spec import (
    ERM_STAGE,
    IDENTIFICATION_STAGE,
    SHARED_STAGES,
    StageSpec,
)
from clip_cfr.calibrate.core.task import Task
from clip_cfr.calibrate.core.train import Objective, SegmentCallback, Trained, train
from clip_cfr.calibrate.core.units import clip_head, head_arrays
from clip_cfr.calibrate.core.windows import Window, make_windows

# Called about 20 times a stage, 10 times if it does not select heads, with its name, the steps done
# and all its steps.
ProgressCallback = Callable[[str, int, int], None]
PROGRESS_CALLS = 20
CALLBACK_CALLS = 10

# Indices of the random numbers that draw the calibration set and, with the setting `resample`, the
# training rows; see `StageSpec.stream`.
CALIBRATION_SET_STREAM = 1
TRAINING_ROWS_STREAM = 8


@dataclass
class StageCache:
    """Results of a stage, shared by all experiments with the same `StageSpec.key` and seed.

    Attributes:
        trained: result of the stage; None before it has run.
        train_logits: logits of the training rows by source head, see `Experiment.train_logits`.
    """

    trained: Trained | None = None
    train_logits: dict[str, Float[np.ndarray, "rows classes"]] = field(default_factory=dict)


def empty_caches() -> dict[StageSpec, StageCache]:
    """Return an empty cache for each of `SHARED_STAGES`."""
    return {stage: StageCache() for stage in SHARED_STAGES}


@dataclass(frozen=True)
class Experiment:
    """A task, settings and a seed to fit methods with. Shared stages are trained on first use.

    Attributes:
        prepared: task to train on.
        settings: hyperparameters.
        seed: seed of all random choices.
        progress: called about 20 times a stage; see `ProgressCallback`. A stage that is cached
            already is not reported.
        shared: cached results of the shared stages, filled on first use.
    """

    prepared: Prepared
    settings: Settings
    seed: int
    progress: ProgressCallback | None = field(default=None, repr=False, compare=False)
    shared: Mapping[StageSpec, StageCache] = field(
        default_factory=empty_caches, repr=False, compare=False
    )

    @cached_property
    def task(self) -> Task:
        """The task to train on; with the setting `resample`, its training rows are drawn anew.

        The draw depends on the seed alone: all methods of a seed have the same training rows.

        Raises:
            CalibrationError: no draw has rows of every class.
        """
        task = self.prepared.task
        return (
            resample_train(self.rng(TRAINING_ROWS_STREAM), task) if self.settings.resample else task
        )

    def with_settings(self, settings: Settings) -> "Experiment":
        """Return a new experiment with other settings.

        It shares the cache of each stage of equal `StageSpec.key`; other caches are empty.
        """
        shared = {
            stage: cache if stage.key(settings) == stage.key(self.settings) else StageCache()
            for stage, cache in self.shared.items()
        }
        return replace(self, settings=settings, shared=shared)

    def rng(self, stream: int) -> np.random.Generator:
        """Return a new generator of a random stream, such as `StageSpec.stream`.

        It depends on the seed and the stream only: each call returns it from its start.
        """
        return np.random.default_rng([self.seed, stream])

    def key(self, stream: int) -> jax.Array:
        """Return the JAX key of a random stream; depends on the seed and the stream only."""
        return jax.random.fold_in(jax.random.key(self.seed), stream)

    def initial_head(self) -> Head:
        """Return CLIP's own head, in units of training, with the logit scale of the settings."""
        return clip_head(self.task, self.prepared.units, self.settings.logit_scale)

    def zeroshot_head(self) -> Head:
        """Return CLIP's own head, in units of training, with its own logit scale."""
        return clip_head(self.task, self.prepared.units, self.task.logit_scale)

    def source_head(self, name: str) -> Head:
        """Return the identification head for `identification`, CLIP's own for any other name.

        Raises:
            CalibrationError: the identification stage, which is trained on first use, diverged.
        """
        return self.identification_head if name == "identification" else self.zeroshot_head()

    def sgd_settings(self, lr: float) -> SgdSettings:
        """Return the optimizer's hyperparameters, as float32 scalars, for a learning rate."""
        settings = self.settings
        return SgdSettings(
            lr=jnp.float32(lr),
            momentum=jnp.float32(settings.momentum),
            weight_decay=jnp.float32(settings.weight_decay),
            log_scale_factor=jnp.float32(0 if settings.freeze_logit_scale else 1),
        )

    def patience(self, stage: StageSpec) -> Patience:
        """Return when a stage stops before its last step; see the setting `patience`."""
        return make_patience(stage.patience(self.settings), self.settings.selection)

    def logits(
        self, head: AnyHead, rows: Int[np.ndarray, " rows"]
    ) -> Float[np.ndarray, "rows classes"]:
        """Return the float32 logits of rows of the task, given by index, under a head."""
        prepared = self.prepared
        return compute_logits(head, prepared.features, prepared.class_embeddings, rows)

    def probabilities(
        self, head: AnyHead, rows: Int[np.ndarray, " rows"]
    ) -> Float[np.ndarray, "rows classes"]:
        """Return the float32 class probabilities of rows of the task, given by index, under a head.

        Each row of the result sums to 1.
        """
        return np.asarray(jax.nn.softmax(self.logits(head, rows)))

    def train_logits(self, source: str) -> Float[np.ndarray, "rows classes"]:
        """Return the logits of `task.rows("train")` under a source head, computed once.

        Args:
            source: `identification` or `zeroshot`; see `source_head`.

        Raises:
            CalibrationError: the identification stage diverged.
        """
        cached = self.shared[IDENTIFICATION_STAGE].train_logits
        if source not in cached:
            cached[source] = self.logits(self.source_head(source), self.task.rows("train"))
        return cached[source]

    def head_arrays(self, head: Head) -> dict[str, np.ndarray]:
        """Convert a head to arrays for features as stored; see `units.head_arrays`."""
        return head_arrays(head, self.prepared.units)

    def segments(
        self,
        stage: StageSpec,
        rng: np.random.Generator,
        head: AnyHead,
        draw_batches: Callable[[Window], Any],
        hyperparameters: Callable[[Window], Any],
        *,
        loss_state: Any = None,
        calibration_rows: Int[np.ndarray, " calibration_rows"] | None = None,
    ) -> Iterator[Segment]:
        """Yield one segment of a stage for each window; the whole stage if all rows are resident.

        Rows are drawn, and put on the device, when a segment is requested.

        Args:
            stage: the stage; gives the steps, the learning rate and the key.
            rng: shuffles the rows over the windows; `draw_batches` may draw from it too.
            head: initial head.
            draw_batches: returns the batches of the steps of a window.
            hyperparameters: returns those of the objective in a window.
            loss_state: initial state of the objective.
            calibration_rows: row indices to have in the windows besides training rows; by default
                none.

        Raises:
            SettingsError: `prepared.resident_rows` is too small.
        """
        settings, prepared = self.settings, self.prepared
        windows = make_windows(
            rng,
            self.task,
            prepared.resident_rows,
            evaluation_steps(stage.num_steps(settings), stage.num_evaluations(settings)),
            settings.batch_size,
            np.zeros(0, np.int32) if calibration_rows is None else calibration_rows,
        )
        for window in windows:
            inputs = Stage(
                head=head,
                loss_state=loss_state,
                batches=draw_batches(window),
                sgd=self.sgd_settings(stage.learning_rate(settings)),
                hyperparameters=hyperparameters(window),
                key=self.key(stage.stream),
                first_step=window.eval_steps[0],
                patience=self.patience(stage),
            )
            yield Segment(inputs, prepared.resident_data(window), window.eval_steps)

    @property
    def identification_head(self) -> Head:
        """The head of the last step of the identification stage; see `shared_stage`."""
        return self.shared_stage(IDENTIFICATION_STAGE).last

    @property
    def erm(self) -> Trained:
        """The result of the ERM stage; see `shared_stage`."""
        return self.shared_stage(ERM_STAGE)

    def shared_stage(self, stage: StageSpec) -> Trained:
        """Return the result of one of `SHARED_STAGES`, trained on first use and then cached.

        Raises:
            CalibrationError: it diverged; raised again on each use.
            MemoryError: it does not fit in device memory.
        """
        cache = self.shared[stage]
        if cache.trained is None:
            cache.trained = self.run(stage, self.erm_objective(), self.erm_segments(stage))
        check_convergence(cache.trained, stage, self.settings)
        return cache.trained

    def erm_objective(self) -> ErmObjective:
        """Return the objective of ERM, with the precision of the settings."""
        return ErmObjective(product_precision(self.settings))

    def erm_segments(
        self, stage: StageSpec, repeats: Int[np.ndarray, " n"] | None = None
    ) -> Iterator[Segment]:
        """Return the segments of a stage that trains by ERM, from CLIP's own head; see `segments`.

        Args:
            stage: the stage.
            repeats: how often each row of the task counts as a training row; by default once.
        """
        settings, rng = self.settings, self.rng(stage.stream)

        def draw_batches(window: Window) -> Int[np.ndarray, "steps batch"]:
            rows = window.train_rows
            if repeats is not None:
                rows = np.repeat(rows, window.take(repeats)[rows])
            return draw_minibatches(rng, rows, window.capacity, settings.batch_size)

        return self.segments(
            stage,
            rng,
            self.initial_head(),
            draw_batches,
            hyperparameters=lambda _: jnp.float32(settings.dropout),
        )

    def train(
        self,
        stage: StageSpec,
        objective: Objective,
        segments: Iterable[Segment],
        callback: SegmentCallback | None = None,
    ) -> Trained:
        """Train a stage and check that it converged; see `run`.

        Raises:
            CalibrationError: the stage diverged.
            MemoryError: a segment does not fit in device memory.
        """
        trained = self.run(stage, objective, segments, callback)
        check_convergence(trained, stage, self.settings)
        return trained

    def run(
        self,
        stage: StageSpec,
        objective: Objective,
        segments: Iterable[Segment],
        callback: SegmentCallback | None = None,
    ) -> Trained:
        """Train a stage; if there is a callback, split its segments to call it in between.

        Args:
            stage: the stage.
            objective: loss of the stage.
            segments: segments of the stage, one for each window.
            callback: called about 10 times, or about 20 times, as the progress callback is, if
                there is one; an exception that it raises ends the stage.

        Raises:
            MemoryError: a segment does not fit in device memory.
        """
        if self.progress is None and callback is None:
            return train(objective, segments)
        steps = stage.num_steps(self.settings)
        calls = CALLBACK_CALLS if self.progress is None else PROGRESS_CALLS
        evaluations = evaluations_per_call(min(steps, stage.num_evaluations(self.settings)), calls)
        notify = partial(notify_callbacks, stage.name, steps, self.progress, callback)
        trained = train(objective, split_segments(segments, evaluations), notify)
        if trained.info.step[-1] < steps:
            self.report_done(stage)
        return trained

    def report_done(self, stage: StageSpec) -> None:
        """Report all steps of a stage as done, also if it stopped before its last step.

        Does nothing without a progress callback.
        """
        if self.progress is not None:
            steps = stage.num_steps(self.settings)
            self.progress(stage.name, steps, steps)

    @cached_property
    def calibration_set(self) -> CalibrationSet:
        """The training rows that the source head misclassifies, as the settings select them.

        Raises:
            CalibrationError: there are too few, or the identification stage diverged.
        """
        rows = self.task.rows("train")
        return select_calibration_set(
            self.rng(CALIBRATION_SET_STREAM),
            self.train_logits(self.settings.calibration_source),
            self.task.labels[rows],
            rows,
            self.settings,
            self.task.class_names,
        )


def notify_callbacks(
    stage: str,
    steps: int,
    progress: ProgressCallback | None,
    callback: SegmentCallback | None,
    step: int,
    best_values: dict[str, float],
) -> None:
    """Call the progress callback and the segment callback, if given.

    Args:
        stage: name of the stage.
        steps: all its steps.
        step: steps done.
        best_values: best validation value so far by criterion.
    """
    if progress is not None:
        progress(stage, step, steps)
    if callback is not None:
        callback(step, best_values)
