"""A report of runs and grids: one HTML page that opens without a network, and plots as files."""

from clip_cfr.cache.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__, {"write_report": "clip_cfr.calibrate.report.write"}
)
