"""Extract features of an image data set into a cache; the only package that uses torch."""

from clip_cfr.cache.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "DatasetOptions": "clip_cfr.extract.datasets.common.options",
        "EncoderSpec": "clip_cfr.extract.encoders.spec",
        "ExtractError": "clip_cfr.extract.errors",
        "ExtractOptions": "clip_cfr.extract.options",
        "OptionError": "clip_cfr.extract.errors",
        "SyntheticWorld": "clip_cfr.extract.importing.synthetic.world",
        "export_model": "clip_cfr.extract.export.export",
        "embed_words": "clip_cfr.extract.words.embed_words",
        "extract_dataset": "clip_cfr.extract.pipeline",
        "import_embeddings": "clip_cfr.extract.importing.import_embeddings",
        "import_synthetic": "clip_cfr.extract.importing.synthetic.import_synthetic",
        "predict_images": "clip_cfr.extract.predict.predict",
    },
)
