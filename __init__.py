"""Group robustness for CLIP without group labels.

The public names below are imported on first use: `import clip_cfr` loads neither JAX nor torch.
docs/python.md shows them at work.
"""

from clip_cfr.cache.lazy import lazy_exports

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        # Images, or embeddings, to a cache.
        "DatasetOptions": "clip_cfr.extract",
        "EncoderSpec": "clip_cfr.extract",
        "ExtractError": "clip_cfr.extract",
        "ExtractOptions": "clip_cfr.extract",
        "SyntheticWorld": "clip_cfr.extract",
        "export_model": "clip_cfr.extract",
        "embed_words": "clip_cfr.extract",
        "extract_dataset": "clip_cfr.extract",
        "import_embeddings": "clip_cfr.extract",
        "import_synthetic": "clip_cfr.extract",
        # Caches and run folders.
        "CacheError": "clip_cfr.cache",
        "merge_shards": "clip_cfr.cache",
        "open_cache": "clip_cfr.cache",
        "read_cache": "clip_cfr.cache",
        "read_info": "clip_cfr.cache",
        "read_head": "clip_cfr.cache",
        "read_run": "clip_cfr.cache",
        "read_words": "clip_cfr.cache",
        "verify_cache": "clip_cfr.cache",
        "write_cache": "clip_cfr.cache",
        # A cache, or arrays, to a head.
        "CFRClassifier": "clip_cfr.calibrate",
        "CalibrationError": "clip_cfr.calibrate",
        "GridResult": "clip_cfr.calibrate",
        "Interval": "clip_cfr.calibrate",
        "Result": "clip_cfr.calibrate",
        "Settings": "clip_cfr.calibrate",
        "Task": "clip_cfr.calibrate",
        "calibrate_cache": "clip_cfr.calibrate",
        "explain_run": "clip_cfr.calibrate",
        "read_grid_result": "clip_cfr.calibrate",
        "read_result": "clip_cfr.calibrate",
        "run_cost": "clip_cfr.calibrate",
        "run_study": "clip_cfr.calibrate",
        "search_grid": "clip_cfr.calibrate",
        "write_report": "clip_cfr.calibrate",
        # New images to classes.
        "predict_images": "clip_cfr.extract",
    },
)
