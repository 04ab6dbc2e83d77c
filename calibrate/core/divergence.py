"""Refuses what a training stage came to where it left the finite numbers."""

import jax
import numpy as np

from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.train import Trained


def refuse_divergence(trained: Trained, stage: str, option: str, lr: float) -> None:
    """Raises where a head, the loss or the logit scale is not finite.

    A head of NaNs predicts the first class everywhere: its accuracies look like numbers.

    Args:
        stage: what trained, for the message.
        option: the option of its learning rate, `lr`.

    Raises:
        CalibrationError: names the first evaluation at which it shows.
    """
    info = trained.info
    finite = np.isfinite(info.logged["loss"]) & np.isfinite(info.logit_scale)
    if finite.all() and all(np.isfinite(x).all() for x in jax.tree.leaves(trained.last)):
        return
    steps = np.asarray(info.step)
    first = steps[int(finite.argmin())] if not finite.all() else steps[-1]
    raise CalibrationError(
        f"{stage} diverged: at step {first} of {steps[-1]} its numbers are no longer finite; "
        f"lower {option} (it is {lr:g}), or go back to the defaults of --temperature, "
        "--logit-scale and --weight-decay"
    )
