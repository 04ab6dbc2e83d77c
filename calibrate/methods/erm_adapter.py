"""ERM adapter: a residual adapter of CLIP's embeddings, trained by cross-entropy.

References:
    Zhang, Re, NeurIPS 2022, arXiv 2207.07180; Gao et al. 2021, arXiv 2110.04544. Two layers with a
    bottleneck and a ReLU. Here they have neither biases nor batch normalization, the adapter starts
    as the identity, and the logit scale is trained as in the other methods.
"""

from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np

from clip_cfr.calibrate.core.divergence import check_convergence
from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.head import AdapterHead
from clip_cfr.calibrate.core.sampling import draw_minibatches
from clip_cfr.calibrate.core.segments import Segment
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.core.task import Task
from clip_cfr.calibrate.methods.checks import check_stage_memory
from clip_cfr.calibrate.methods.classifiers import AdapterClassifier
from clip_cfr.calibrate.methods.fitted import Fitted, fitted_heads


def check(task: Task, settings: Settings, resident_rows: int | None) -> None:
    """Raise SettingsError if the stage cannot be trained with these settings.

    Args:
        resident_rows: rows in memory at a time; None for all.
    """
    check_stage_memory(
        task,
        settings,
        resident_rows,
        option="steps",
        indices_per_step=settings.batch_size,
        remedies=" or batch_size",
    )


def fit(experiment: Experiment) -> Fitted:
    """Fit the adapters of the stage, on CLIP's own frozen head.

    Raises:
        CalibrationError: the stage diverged.
    """
    objective, segments = experiment.erm_objective(), make_segments(experiment)
    trained = experiment.train("erm-adapter", objective, segments)
    check_convergence(trained, "ERM adapter", "--lr", experiment.settings.lr)
    return fitted_heads(trained, AdapterClassifier)


def make_segments(experiment: Experiment) -> Iterator[Segment]:
    """Return the segments of the stage; see `Experiment.segments`."""
    settings, rng = experiment.settings, experiment.rng("erm-adapter")
    return experiment.segments(
        "erm-adapter",
        rng,
        initial_adapter(rng, experiment),
        lambda window: draw_minibatches(
            rng, window.train_rows, window.capacity, settings.batch_size
        ),
        hyperparameters=lambda _: jnp.float32(settings.dropout),
    )


def initial_adapter(rng: np.random.Generator, experiment: Experiment) -> AdapterHead:
    """Return an adapter that leaves CLIP's embeddings as they are: its second layer is zero.

    The first layer gives unit-length embeddings activations of unit length on average.
    """
    frozen, hidden = experiment.initial_head(), experiment.settings.adapter_dim
    embedding = frozen.weight.shape[0]
    down = rng.normal(scale=np.sqrt(2 / hidden), size=(hidden, embedding))
    return AdapterHead(
        frozen=frozen,
        down=jnp.asarray(down, jnp.float32),
        up=jnp.zeros((embedding, hidden), jnp.float32),
        log_scale=frozen.log_scale,
    )
