"""Training and evaluation of heads on cached features; numpy arrays in and out, JAX inside."""

from clip_cfr.cache.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "CFRClassifier": "clip_cfr.calibrate.estimator",
        "CalibrationError": "clip_cfr.calibrate.core.errors",
        "Result": "clip_cfr.calibrate.comparison.result",
        "Settings": "clip_cfr.calibrate.core.settings",
        "Task": "clip_cfr.calibrate.core.task",
        "calibrate_cache": "clip_cfr.calibrate.pipeline",
        "read_result": "clip_cfr.calibrate.run_folder",
    },
)
