"""Train and evaluate heads on cached features; numpy arrays in and out, JAX inside."""

from clip_cfr.cache.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "CFRClassifier": "clip_cfr.calibrate.estimator",
        "CalibrationError": "clip_cfr.calibrate.core.errors",
        "GridResult": "clip_cfr.calibrate.grid.result",
        "Interval": "clip_cfr.calibrate.grid.axes",
        "Result": "clip_cfr.calibrate.comparison.result",
        "Settings": "clip_cfr.calibrate.core.settings",
        "Task": "clip_cfr.calibrate.core.task",
        "calibrate_cache": "clip_cfr.calibrate.pipeline",
        "explain_run": "clip_cfr.calibrate.explain.explain",
        "read_grid_result": "clip_cfr.calibrate.grid.result",
        "read_result": "clip_cfr.calibrate.run_folder",
        "run_cost": "clip_cfr.calibrate.studies.cost.run",
        "run_study": "clip_cfr.calibrate.studies.run",
        "search_grid": "clip_cfr.calibrate.grid.run",
        "write_report": "clip_cfr.calibrate.report.write",
    },
)
