"""Plans on the synthetic tasks."""

from clip_cfr.calibrate.grid.axes import Choices
from clip_cfr.calibrate.grid.plan import Plan
from tests.calibrate.synthetic import quick_settings

SPACE = {"erm_lr": Choices((1e-3, 3e-3)), "lr": Choices((1e-4, 1e-3))}


def quick_plan(**changes) -> Plan:
    """Two learning rates of each stage, with two seeds."""
    given = {"cache": "0" * 64, "space": SPACE, "fixed": quick_settings(), "seeds": (0, 1)}
    return Plan(**{**given, **changes})
