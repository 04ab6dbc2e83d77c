"""Check that a training stage did not diverge."""

import jax
import numpy as np

from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.core.stage_spec import StageSpec
from clip_cfr.calibrate.core.train import Trained


def check_convergence(trained: Trained, stage: StageSpec, settings: Settings) -> None:
    """Raise if the loss, the logit scale or the last head of a stage is NaN or infinite.

    Without this check, a head of NaNs predicts the first class everywhere and gets plausible
    accuracies.

    Args:
        trained: result of the stage.
        stage: the stage, which the message names with its learning rate.
        settings: its settings.

    Raises:
        CalibrationError: the stage diverged; names the first evaluation with such a loss or logit
            scale, or the last one if only the head has such values.
    """
    info = trained.info
    finite = np.isfinite(info.logged["loss"]) & np.isfinite(info.logit_scale)
    if finite.all() and all(np.isfinite(x).all() for x in jax.tree.leaves(trained.last)):
        return
    steps = np.asarray(info.step)
    first = steps[int(finite.argmin())] if not finite.all() else steps[-1]
    option = f"--{stage.lr.replace('_', '-')}"
    raise CalibrationError(
        f"{stage.name} diverged at step {first} of {steps[-1]} (NaN or infinite values); "
        f"lower {option} (it is {stage.learning_rate(settings):g}), or go back to the defaults of "
        "--temperature, --logit-scale and --weight-decay"
    )
