"""The Python API of the command `extract`."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from clip_cfr.cache.files.journal import read_unfinished_job
from clip_cfr.cache.write.output import check_output
from clip_cfr.extract.datasets import find_dataset, load_dataset
from clip_cfr.extract.datasets.common.options import DatasetOptions
from clip_cfr.extract.encoders.spec import EncoderSpec, fill_from_job
from clip_cfr.extract.errors import OptionError
from clip_cfr.extract.import_torch import import_torch
from clip_cfr.extract.manifest.shards import default_cache_name
from clip_cfr.extract.options import ExtractOptions
from clip_cfr.extract.progress import LineReporter, ProgressReporter
from clip_cfr.extract.summary import Summary

# The modules of a model and of an engine import torch, which takes seconds: the functions below
# import them after errors of the data set have been reported.
if TYPE_CHECKING:
    from clip_cfr.extract.encoders.base import Model
    from clip_cfr.extract.engines.base import Engine


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
    reporter: ProgressReporter | None = None,
) -> Summary:
    """Encode the images of a data set into the cache file `out` and return a summary.

    If the process is killed at any moment, the same call resumes after the last saved batch and
    produces the same bits.

    Args:
        dataset: a key of `clip_cfr.extract.datasets.DATASETS`, in any case.
        root: folder of the data set; by default `data/DATASET`.
        out: the cache file; by default `DATASET.h5`, or `DATASET.I-of-N.h5` for a shard.
        encoder: the model; by default the paper's. Settings that are left open come from the
            unfinished job, if there is one.
        data: options of the data set; `skip_missing` is replaced by `options.skip_unreadable`.
        options: options of the extraction, such as batch size, limit, shard and overwrite.
        engine: `local`, or `ray` for a Ray cluster.
        ray_address: `HOST:PORT` or `auto`; by default Ray starts on this machine.
        reporter: receives progress and messages; by default lines on standard error.

    Raises:
        OptionError: options do not go together, or the data set does not have them.
        ExtractError: the data set, an image or the model cannot be used.
        CacheError: `out` is finished, is not a cache, is being written by another process, or has
            an unfinished job with other settings.
        ModuleNotFoundError: a package that the model or engine needs is not installed.
    """
    encoder, data = encoder or EncoderSpec(), data or DatasetOptions()
    options, reporter = options or ExtractOptions(), reporter or LineReporter()
    dataset = find_dataset(dataset)
    data = replace(data, skip_missing=options.skip_unreadable)
    check_engine_options(engine, ray_address, options.workers)
    out = Path(out or default_cache_name(dataset, options.shard))
    root = Path(root or Path("data") / dataset)
    inputs = (root, data.metadata, data.prompts, Path(encoder.model).expanduser())
    check_output(out, options.overwrite, inputs)
    unfinished = {} if options.overwrite else read_unfinished_job(out)
    manifest = load_dataset(dataset, root, data)
    reporter.message(f"loading {encoder.model}")
    import_torch()
    from clip_cfr.extract.run import extract_manifest

    spec = fill_from_job(encoder, unfinished)
    with start_engine(engine, ray_address, spec, reporter) as (model, started):
        return extract_manifest(manifest, model, out, options, reporter=reporter, engine=started)


def check_engine_options(engine: str, ray_address: str | None, workers: int | None) -> None:
    """Raise OptionError if the options of an engine do not go together.

    That is no workers with `ray`, or an address with any other engine.
    """
    if engine == "ray" and workers == 0:
        raise OptionError("--workers 0 decodes in this process; with --engine ray give 1 or more")
    if engine != "ray" and ray_address is not None:
        raise OptionError("--ray-address applies to --engine ray only; give that as well")


@contextmanager
def start_engine(
    engine: str, ray_address: str | None, spec: EncoderSpec, reporter: ProgressReporter
) -> Iterator[tuple["Model", "Engine"]]:
    """Yield the loaded model of a spec and the engine that runs it.

    At the end of the block, `ray` disconnects from the cluster.

    Args:
        engine: `local` or `ray`.
        ray_address: see `connect_to_ray`; not used by `local`.
        spec: the model and its compute settings.
        reporter: receives messages while `ray` starts.

    Raises:
        ExtractError: the model cannot be loaded, or the cluster cannot be used.
    """
    if engine == "local":
        from clip_cfr.extract.encoders.load import load_encoder
        from clip_cfr.extract.engines.local import LocalEngine

        yield load_encoder(spec), LocalEngine()
        return
    from clip_cfr.extract.engines.on_ray.cluster import connect_to_ray

    with connect_to_ray(ray_address):
        from clip_cfr.extract.engines.on_ray.engine import start_encoders

        yield start_encoders(spec, reporter.message)
