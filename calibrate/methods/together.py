"""Fits a method in several experiments on one task, at once where the device gains by it.

On a CPU one stage takes all cores, and stages together take as long as one after the other. On a
GPU one stage leaves most of the device idle.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import jax

from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.experiment import Experiment, Prepared
from clip_cfr.calibrate.core.objectives import ErmObjective
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.core.train import Leg, Objective, Trained, train, train_together
from clip_cfr.calibrate.methods import cfr, fit
from clip_cfr.calibrate.methods.fitted import Fitted

# Of the memory that is free. XLA keeps the rest for what it computes on the way.
SHARE_OF_MEMORY = 0.5
# Heads that a stage carries: three best ones, the last, its velocity, and their next values.
HEADS = 10

Job = tuple[Objective, Leg]


def fit_each(name: str, experiments: Sequence[Experiment]) -> Iterator[Fitted | CalibrationError]:
    """The fitted method of each experiment, or the reason why there is none, in their order.

    Where stages at once do not fit into memory, half as many are tried from there on.

    Raises:
        MemoryError: not even one does.
    """
    at_once = stages_at_once(name, experiments[0]) if len(experiments) > 1 else 1
    done = 0
    while batch := experiments[done : done + at_once]:
        try:
            found = fit_together(batch) if len(batch) > 1 else [fit_alone(name, *batch)]
        except MemoryError:
            if len(batch) == 1:
                raise
            at_once = len(batch) // 2
            continue
        yield from found
        done += len(batch)


def fit_alone(name: str, experiment: Experiment) -> Fitted | CalibrationError:
    """The fitted method, or the reason why there is none."""
    try:
        return fit(name, experiment)
    except CalibrationError as reason:
        return reason


def fit_together(experiments: Sequence[Experiment]) -> list[Fitted | CalibrationError]:
    """CFR of each experiment, or the reason why there is none; stages of equal shapes at once."""
    train_erm(experiments)
    jobs: dict[int, Job] = {}
    found: dict[int, Fitted | CalibrationError] = {}
    for number, each in enumerate(experiments):
        try:
            jobs[number] = cfr.objective_of(each.settings), next(cfr.stage_legs(each))
        except CalibrationError as reason:
            found[number] = reason
    for number, trained in train_alike(jobs).items():
        try:
            found[number] = cfr.fitted(experiments[number], trained)
        except CalibrationError as reason:
            found[number] = reason
    return [found[number] for number in range(len(experiments))]


def train_erm(experiments: Sequence[Experiment]) -> None:
    """Trains those ERM stages that are missing; who asks for one that diverged hears of it."""
    missing = {id(each.shared): each for each in experiments if "erm" not in each.shared}
    jobs = {place: (ErmObjective(), next(each.erm_legs())) for place, each in missing.items()}
    for place, trained in train_alike(jobs).items():
        missing[place].keep_erm(trained)


def train_alike(jobs: dict[int, Job]) -> dict[int, Trained]:
    """What each job comes to; those of equal shapes are trained in one program."""
    groups = defaultdict(list)
    for name, job in jobs.items():
        groups[signature(job)].append(name)
    found = {}
    for names in groups.values():
        objective, legs = jobs[names[0]][0], [jobs[name][1] for name in names]
        trained = [train(objective, legs)] if len(legs) == 1 else train_together(objective, legs)
        found |= dict(zip(names, trained, strict=True))
    return found


def signature(job: Job) -> tuple:
    """Equal for jobs that one program can train."""
    objective, leg = job
    leaves, structure = jax.tree.flatten(leg.stage)
    shapes = tuple((leaf.shape, leaf.dtype) for leaf in leaves)
    return objective, structure, shapes, tuple(leg.points)


def stages_at_once(name: str, experiment: Experiment) -> int:
    """How many stages to train in one program: one on a CPU, else as many as memory holds."""
    prepared = experiment.prepared
    device = prepared.class_embeddings.device
    memory = device.memory_stats()
    if name != "cfr" or device.platform == "cpu" or memory is None or prepared.held is not None:
        return 1
    free = memory["bytes_limit"] - memory["bytes_in_use"]
    return max(1, int(SHARE_OF_MEMORY * free / bytes_of_stage(prepared, experiment.settings)))


def bytes_of_stage(prepared: Prepared, settings: Settings) -> int:
    """Device memory that a CFR stage takes beside the features, about."""
    dim, embedding = prepared.task.projection.shape
    places = settings.calibration_batch_size * (settings.num_negatives + settings.num_positives)
    rows = settings.calibration_batch_size + settings.batch_size
    pools = settings.negative_pool + settings.positive_pool
    drawn = 4 * settings.steps * (places + rows + pools)
    validation = 4 * len(prepared.task.rows("val")) * (dim + embedding)
    step = 4 * 3 * (rows + pools) * (dim + embedding)
    return drawn + validation + step + 4 * HEADS * dim * embedding
