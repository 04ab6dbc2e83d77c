"""Fit one method to many experiments; on a GPU, train their stages as one batch.

On a CPU one stage uses all cores, so a batch of stages takes as long as the stages in turn. On a
GPU one stage leaves most of the device idle.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import jax

from clip_cfr.calibrate.core.divergence import check_convergence
from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.prepared import Prepared
from clip_cfr.calibrate.core.segments import Segment
from clip_cfr.calibrate.core.settings import Settings, pool_rows
from clip_cfr.calibrate.core.stage_spec import IDENTIFICATION_STAGE
from clip_cfr.calibrate.core.train import Objective, Trained, train, train_together
from clip_cfr.calibrate.methods import cfr, fit
from clip_cfr.calibrate.methods.fitted import Fitted, fitted_heads

# Fraction of the free device memory for batched stages; XLA needs the rest for temporaries.
MEMORY_FRACTION = 0.5
# Heads in the state of a stage: three best ones, the last, its velocity, and their next values.
HEADS_PER_STAGE = 10

# A stage to train: its objective, and the whole stage as one segment.
Job = tuple[Objective, Segment]


def fit_experiments(
    method: str, experiments: Sequence[Experiment]
) -> Iterator[Fitted | CalibrationError]:
    """Yield the fitted method of each experiment, in order, or the error that prevented it.

    Only CFR on a GPU is trained in batches, see `batch_size`. If a batch does not fit in device
    memory, it and all later ones are halved.

    Args:
        method: one of `METHODS`.
        experiments: experiments on the same prepared task; the first one gives the batch size.

    Raises:
        MemoryError: a single experiment does not fit in device memory.
    """
    size = batch_size(method, experiments[0]) if len(experiments) > 1 else 1
    done = 0
    while batch := experiments[done : done + size]:
        try:
            results = fit_batch(batch) if len(batch) > 1 else [fit_one(method, batch[0])]
        except MemoryError:
            if len(batch) == 1:
                raise
            size = len(batch) // 2
            continue
        yield from results
        done += len(batch)


def fit_one(method: str, experiment: Experiment) -> Fitted | CalibrationError:
    """Fit a method; return the result, or the CalibrationError if it cannot be fitted."""
    try:
        return fit(method, experiment)
    except CalibrationError as error:
        return error


def fit_batch(experiments: Sequence[Experiment]) -> list[Fitted | CalibrationError]:
    """Fit CFR to all experiments; train stages of equal shapes in one program.

    An experiment that cannot be fitted gives its error and does not affect the others. All rows
    must be resident.

    Returns:
        The result or the error of each experiment, in order.

    Raises:
        MemoryError: a batch of stages does not fit in device memory.
    """
    train_identification_batch(experiments)
    prepared = [prepare_job(experiment) for experiment in experiments]
    jobs = {i: job for i, job in enumerate(prepared) if not isinstance(job, CalibrationError)}
    trained = train_jobs(jobs)
    return [
        job if isinstance(job, CalibrationError) else finish_job(experiment, trained[index])
        for index, (experiment, job) in enumerate(zip(experiments, prepared, strict=True))
    ]


def prepare_job(experiment: Experiment) -> Job | CalibrationError:
    """Return the objective and the whole CFR stage, or the error if it cannot be prepared.

    The identification stage is trained first if it is not cached. All rows must be resident.
    """
    try:
        return cfr.make_objective(experiment.settings), next(cfr.make_segments(experiment))
    except CalibrationError as error:
        return error


def finish_job(experiment: Experiment, trained: Trained) -> Fitted | CalibrationError:
    """Report a trained CFR stage as done; return its heads, or the error if it diverged."""
    stage = cfr.METHOD.stage
    experiment.report_done(stage)
    try:
        check_convergence(trained, stage, experiment.settings)
        return fitted_heads(trained)
    except CalibrationError as error:
        return error


def train_identification_batch(experiments: Sequence[Experiment]) -> None:
    """Train the identification stages that are not cached, and put them into the caches.

    Experiments that share a cache share the stage. `Experiment.shared_stage` raises for one that
    diverged.
    """
    stage = IDENTIFICATION_STAGE
    caches = {id(each.shared[stage]): each for each in experiments}
    missing = {key: each for key, each in caches.items() if each.shared[stage].trained is None}
    jobs = {
        key: (each.erm_objective(), next(each.erm_segments(stage))) for key, each in missing.items()
    }
    for key, trained in train_jobs(jobs).items():
        missing[key].shared[stage].trained = trained
        missing[key].report_done(stage)


def train_jobs(jobs: Mapping[int, Job]) -> dict[int, Trained]:
    """Train all jobs, those of equal shapes in one program; return the results by the same keys."""
    batches = defaultdict(list)
    for key, job in jobs.items():
        batches[job_signature(job)].append(key)
    return {
        key: trained
        for keys in batches.values()
        for key, trained in zip(keys, train_same_shape([jobs[key] for key in keys]), strict=True)
    }


def train_same_shape(jobs: Sequence[Job]) -> list[Trained]:
    """Train jobs of equal `job_signature` in one program; return the results in order."""
    objective, segments = jobs[0][0], [segment for _, segment in jobs]
    if len(segments) == 1:
        return [train(objective, segments)]
    return train_together(objective, segments)


def job_signature(job: Job) -> tuple:
    """Return a key that is equal for jobs that one program can train together.

    It holds the objective, the structure, shapes and types of the stage, and its evaluation steps.
    """
    objective, segment = job
    leaves, structure = jax.tree.flatten(segment.stage)
    shapes = tuple((leaf.shape, leaf.dtype) for leaf in leaves)
    return objective, structure, shapes, tuple(segment.eval_steps)


def batch_size(method: str, experiment: Experiment) -> int:
    """Return the number of stages to train in one program, at least 1.

    It is 1 for methods other than CFR, on a CPU, on a device that does not report its memory, and
    if not all rows are resident; otherwise as many as fit in half of the free device memory.
    """
    prepared = experiment.prepared
    device = prepared.class_embeddings.device
    memory = device.memory_stats()
    in_turn = method != "cfr" or device.platform == "cpu" or memory is None
    if in_turn or prepared.resident_rows is not None:
        return 1
    free = memory["bytes_limit"] - memory["bytes_in_use"]
    return max(1, int(MEMORY_FRACTION * free / stage_bytes(prepared, experiment.settings)))


def stage_bytes(prepared: Prepared, settings: Settings) -> int:
    """Estimate the device memory of a CFR stage besides the features, in bytes."""
    dim, embedding = prepared.task.projection.shape
    anchors = settings.calibration_batch_size
    rows = anchors + settings.batch_size
    pools = sum(pool_rows(settings, name) or 0 for name in ("positive_pool", "negative_pool"))
    validation = 4 * len(prepared.task.rows("val")) * (dim + embedding)
    step = 4 * 3 * (rows + pools) * (dim + embedding)
    heads = 4 * HEADS_PER_STAGE * dim * embedding
    chosen = anchors * (settings.num_negatives + settings.num_positives)
    drawn = 4 * settings.steps * (chosen + rows + pools)
    logged = settings.evaluations * len(prepared.task.rows("val"))
    return drawn + validation + step + heads + logged
