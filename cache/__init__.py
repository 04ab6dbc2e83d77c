"""Feature caches (see FORMAT.md) and run folders; the only package that uses HDF5."""

from clip_cfr.cache.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "CacheError": "clip_cfr.cache.errors",
        "merge_shards": "clip_cfr.cache.merge.merge",
        "open_cache": "clip_cfr.cache.read.reader",
        "read_cache": "clip_cfr.cache.read.reader",
        "read_info": "clip_cfr.cache.read.info",
        "read_head": "clip_cfr.cache.runs.heads",
        "read_run": "clip_cfr.cache.runs.run",
        "read_words": "clip_cfr.cache.words.files",
        "verify_cache": "clip_cfr.cache.read.reader",
        "write_cache": "clip_cfr.cache.write.writer",
    },
)
