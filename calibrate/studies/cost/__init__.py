"""Study of the cost of full fine-tuning against calibration on cached features.

Measured on the embedded tiny CLIP, on paper for larger models. It fits no points, so it is apart
from the other studies.
"""

from clip_cfr.cache.lazy import lazy_exports

NAME = "cost"
QUESTION = "What does full fine-tuning cost against calibration on cached features?"
DEFAULT_EPOCHS = 10

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "CostResult": "clip_cfr.calibrate.studies.cost.result",
        "run_cost": "clip_cfr.calibrate.studies.cost.run",
    },
)
