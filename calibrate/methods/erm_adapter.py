"""ERM adapter: a residual adapter of CLIP's embeddings, trained by cross-entropy.

References:
    Zhang, Re, NeurIPS 2022, arXiv 2207.07180; Gao et al. 2021, arXiv 2110.04544. Two layers with a
    bottleneck and a ReLU. Here they have neither biases nor batch normalization, the adapter starts
    as the identity, and the logit scale is trained as in the other methods.
"""

from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np

from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.head import AdapterHead
from clip_cfr.calibrate.core.sampling import draw_minibatches
from clip_cfr.calibrate.core.segments import Segment
from clip_cfr.calibrate.core.stage_spec import StageSpec
from clip_cfr.calibrate.methods.classifiers import AdapterClassifier
from clip_cfr.calibrate.methods.fitted import Fitted, fitted_heads
from clip_cfr.calibrate.methods.method import Method

METHOD = Method(
    stage=StageSpec(name="erm-adapter", stream=6),
    settings=("adapter_dim",),
    search=("lr", "weight_decay", "dropout"),
)


def fit(experiment: Experiment) -> Fitted:
    """Fit the adapters of the stage, on CLIP's own frozen head.

    Raises:
        CalibrationError: the stage diverged.
    """
    objective, segments = experiment.erm_objective(), make_segments(experiment)
    trained = experiment.train(METHOD.stage, objective, segments)
    return fitted_heads(trained, AdapterClassifier)


def make_segments(experiment: Experiment) -> Iterator[Segment]:
    """Return the segments of the stage; see `Experiment.segments`."""
    settings, rng = experiment.settings, experiment.rng(METHOD.stage.stream)
    return experiment.segments(
        METHOD.stage,
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
