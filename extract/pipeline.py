"""From a data set on disk to a cache file: what the command extract calls."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clip_cfr.cache.files.atomic import check_overwrite
from clip_cfr.cache.files.journal import read_unfinished_job
from clip_cfr.extract.datasets import load_dataset
from clip_cfr.extract.datasets.common.options import DatasetOptions
from clip_cfr.extract.encoders.spec import EncoderSpec, settled
from clip_cfr.extract.errors import OptionError
from clip_cfr.extract.manifest.shards import default_cache_name
from clip_cfr.extract.options import ExtractOptions
from clip_cfr.extract.progress import Lines, Progress
from clip_cfr.extract.summary import Summary


def extract_dataset(
    dataset: str,
    root: str | Path | None = None,
    out: str | Path | None = None,
    *,
    encoder: EncoderSpec | None = None,
    data: DatasetOptions | None = None,
    options: ExtractOptions | None = None,
    engine: str = "local",
    ray_address: str | None = None,
    progress: Progress | None = None,
) -> Summary:
    """Encode the images of a data set into the cache file `out` and summarise what was done.

    Killed at any moment, the same call resumes after the last saved batch and ends with the same
    bits.

    Args:
        dataset: a name of `clip_cfr.extract.datasets.DATASETS`.
        root: the data set on disk; by default `data/DATASET`.
        out: the cache file; by default `DATASET.h5`, or `DATASET.I-of-N.h5` for a shard.
        encoder: the model; by default the paper's.
        data: options of the data set.
        options: batch size, workers, storage type, limit, shard, overwrite.
        engine: `local`, or `ray` for a Ray cluster.
        ray_address: `HOST:PORT` or `auto`; by default Ray starts on this machine.
        progress: receives progress and messages; by default lines on standard error.

    Raises:
        OptionError: options do not go together, or the data set does not have them.
        ExtractError: the data set, an image or the model cannot be used.
        CacheError: `out` is finished or in use, or belongs to a job with other settings.
    """
    encoder, data = encoder or EncoderSpec(), data or DatasetOptions()
    options, progress = options or ExtractOptions(), progress or Lines()
    check_engine(engine, ray_address, options.workers)
    out = Path(out or default_cache_name(dataset, options.shard))
    check_overwrite(out, options.overwrite)
    manifest = load_dataset(dataset, Path(root or Path("data") / dataset), data)
    progress.say(f"loading {encoder.model}")
    # Torch takes seconds to import: errors of the data set are reported before.
    from clip_cfr.extract.run import extract

    spec = settled(encoder, read_unfinished_job(out))
    with started_engine(engine, ray_address, spec, progress) as (model, runs):
        return extract(manifest, model, out, options, progress, runs)


def check_engine(engine: str, ray_address: str | None, workers: int | None) -> None:
    """Raise OptionError where the options of an engine do not go together."""
    if engine == "ray" and workers == 0:
        raise OptionError("--workers 0 decodes in this process; with --engine ray take 1 or more")
    if engine != "ray" and ray_address is not None:
        raise OptionError("--ray-address is for --engine ray alone; give that as well")


@contextmanager
def started_engine(
    engine: str, ray_address: str | None, spec: EncoderSpec, progress: Progress
) -> Iterator[tuple]:
    """Yield the model of a spec and the engine that runs it."""
    if engine == "local":
        from clip_cfr.extract.encoders.load import load_encoder
        from clip_cfr.extract.engines.local import LocalEngine

        yield load_encoder(spec), LocalEngine()
        return
    from clip_cfr.extract.engines.on_ray.cluster import connected

    with connected(ray_address):
        from clip_cfr.extract.engines.on_ray.engine import begin

        yield begin(spec, progress.say)
