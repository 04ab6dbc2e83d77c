"""The command extract."""

from pathlib import Path

import click
from click_option_group import optgroup

from clip_cfr.cache.console import PATH, Command, emit
from clip_cfr.cache.device_option import DeviceName
from clip_cfr.cache.interrupts import exit_on_interrupt
from clip_cfr.extract.commands.next_command import calibrate_command, echo_command, merge_command
from clip_cfr.extract.commands.texts import (
    CLASS_NAMES,
    COLUMNS,
    DROP_MISSING,
    IGNORE_SPLITS,
    METADATA,
    MODEL,
    REVISION,
    SPLIT_BY,
    VAL_FRACTION,
)
from clip_cfr.extract.datasets import DATASETS, find_dataset
from clip_cfr.extract.encoders.spec import PAPER_MODEL, EncoderSpec
from clip_cfr.extract.images.settings import DEFAULT_MAX_PIXELS
from clip_cfr.extract.option_types import AutoOrInteger, ClassNames, Columns, NameList

OWN_DATASETS = ("folder", "webdataset", "parquet")
PUBLISHED_DATASETS = [name for name in DATASETS if name not in OWN_DATASETS]
DATASET = (
    f"{', '.join(PUBLISHED_DATASETS)}; or your own images: folder, webdataset (tar archives) or "
    "parquet."
)
ROOT = (
    "Folder of the data set; by default data/NAME. For webdataset and parquet also a file, or a "
    "pattern in quotes, such as 'shards/{000000..000999}.tar'."
)
PROMPTS = (
    'JSON file such as {"classes": [["dog", "puppy"], ["a photo of a cat."]]}, or with an object '
    "from class name to list; attributes likewise. Names are put into the templates; an entry that "
    "ends with a full stop is a complete prompt."
)
TEMPLATES = (
    "Prompt templates for the names: CLIP's 80 for ImageNet, or one. The cache has those of the "
    "other, and the names alone, too: see calibrate --prompts."
)
WORDS = (
    "Store the embeddings of about 1,700 words in the cache, to describe groups of images: seconds "
    "on a GPU, about 40 with the text tower of ViT-B/32 on two cores."
)
LIMIT = "Extract at most this many images, spread over splits and groups."
SHARD = "Extract only the I-th of N equal ranges of rows, I from 1 to N; then merge them."
DTYPE = (
    "Compute type of the image tower. auto: float16 on a GPU, bfloat16 on a CPU that multiplies it "
    "in hardware, else float32; small models use float32 everywhere."
)
BATCH_SIZE = (
    "Images per batch. auto: as many as the memory of the GPU holds, halved when it runs out; 32 "
    "on a CPU."
)
WORKERS = (
    "Processes that decode images; 0 decodes in this one. By default one per core for a GPU, one "
    "per four cores otherwise, and 0 if decoding takes less than the 4 s that a process needs to "
    "start."
)
COMPILE = (
    "Compile the image tower with torch.compile: ViT-B/32 ran 10 % faster on two cores. Takes half "
    "a minute at every start, and needs a C++ compiler."
)
CHANNELS_LAST = (
    "Use the channels-last memory layout; no gain for ViT-B/32 on a CPU, which has one small "
    "convolution."
)
ENGINE = (
    "Where extraction runs: this machine, or a Ray cluster (extra `ray`), which decodes on CPUs, "
    "encodes on all GPUs, or CPUs if there are none, and survives the loss of processes and nodes. "
    "The file is the same."
)
RAY_ADDRESS = (
    "Ray cluster: HOST:PORT, or auto for the one that this machine belongs to; by default Ray "
    "starts on this machine. Images and model need the same path on every node."
)
BIT_DEPTH = (
    "Bits that the pixels of 16-bit files use, such as 12 for many detectors: 2^N - 1 is white. "
    "auto measures it on a sample of the images."
)
MAX_PIXELS = "Largest image to decode, in pixels; one of 89 megapixels takes 270 MB in memory."
ON_ERROR = "At an unreadable image: stop, or keep its row and mark it as not valid."


@click.command(cls=Command)
@optgroup.group("Data set")
@optgroup.option("--dataset", metavar="NAME", required=True, help=DATASET)
@optgroup.option("--root", type=PATH, help=ROOT)
@optgroup.option("--metadata", type=PATH, help=METADATA)
@optgroup.option("--columns", type=Columns(), help=COLUMNS)
@optgroup.option("--drop-missing", is_flag=True, default=None, help=DROP_MISSING)
@optgroup.option("--class-names", type=ClassNames(), help=CLASS_NAMES)
@optgroup.option("--prompts", type=PATH, help=PROMPTS)
@optgroup.option("--target", help="celeba: the attribute that is the label.")
@optgroup.option("--spurious", help="celeba: the spurious attribute.")
@optgroup.option("--ignore-splits", type=NameList(), help=IGNORE_SPLITS)
@optgroup.option("--split-by", metavar="COLUMN", help=SPLIT_BY)
@optgroup.option("--val-fraction", type=float, help=VAL_FRACTION)
@optgroup.option("--protocol", help="cmnist: subpopbench or five-class.")
@optgroup.option("--seed", type=click.IntRange(min=0), help="Seed of splits drawn at random.")
@optgroup.group("Output")
@optgroup.option("--out", type=PATH, help="Cache file; by default NAME.h5, or NAME.I-of-N.h5.")
@optgroup.option("--overwrite", is_flag=True, help="Replace a finished file or unfinished job.")
@optgroup.option("--limit", type=click.IntRange(min=1), help=LIMIT)
@optgroup.option("--shard", metavar="I/N", help=SHARD)
@optgroup.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@optgroup.group("Model")
@optgroup.option("--model", default=PAPER_MODEL, help=MODEL)
@optgroup.option("--revision", help=REVISION)
@optgroup.option(
    "--templates", type=click.Choice(["imagenet", "simple"]), default="imagenet", help=TEMPLATES
)
@optgroup.option("--words/--no-words", default=True, show_default="yes", help=WORDS)
@optgroup.group("Compute")
@optgroup.option(
    "--device",
    type=DeviceName("cuda"),
    default="auto",
    help="Where the model runs.",
)
@optgroup.option(
    "--dtype",
    type=click.Choice(["auto", "float32", "bfloat16", "float16"]),
    default="auto",
    help=DTYPE,
)
@optgroup.option(
    "--batch-size", type=AutoOrInteger(1), metavar="auto|N", default="auto", help=BATCH_SIZE
)
@optgroup.option(
    "--workers", type=click.IntRange(min=0), show_default="by device and work", help=WORKERS
)
@optgroup.option(
    "--features-dtype",
    type=click.Choice(["float16", "float32"]),
    default="float16",
    help="Storage type of the features.",
)
@optgroup.option("--compile/--no-compile", default=None, show_default="no", help=COMPILE)
@optgroup.option(
    "--channels-last/--no-channels-last", default=None, show_default="no", help=CHANNELS_LAST
)
@optgroup.option("--engine", type=click.Choice(["local", "ray"]), default="local", help=ENGINE)
@optgroup.option("--ray-address", metavar="ADDRESS", help=RAY_ADDRESS)
@optgroup.group("Images")
@optgroup.option(
    "--bit-depth", type=AutoOrInteger(8, 16), metavar="auto|N", show_default="16", help=BIT_DEPTH
)
@optgroup.option(
    "--max-pixels", type=click.IntRange(min=1), default=DEFAULT_MAX_PIXELS, help=MAX_PIXELS
)
@optgroup.option("--on-error", type=click.Choice(["fail", "skip"]), default="fail", help=ON_ERROR)
def extract(
    dataset,
    root,
    metadata,
    columns,
    drop_missing,
    class_names,
    prompts,
    target,
    spurious,
    ignore_splits,
    split_by,
    val_fraction,
    protocol,
    seed,
    out,
    overwrite,
    limit,
    shard,
    as_json,
    model,
    revision,
    templates,
    words,
    device,
    dtype,
    batch_size,
    workers,
    features_dtype,
    compile,
    channels_last,
    engine,
    ray_address,
    bit_depth,
    max_pixels,
    on_error,
):
    """Encode the images of a data set, once, into a cache to calibrate on.

    After an interruption or a kill, run the same command again to resume: it keeps the device,
    type and batch size that the job started with.

    On several machines, each extracts one --shard; then merge them. With SLURM, for example:
    --array=1-64, and --shard $SLURM_ARRAY_TASK_ID/64.

    \b
    Example:
      clip-cfr extract --dataset waterbirds --root data/waterbirds
      clip-cfr extract --dataset digits --model extract/tiny_clip
      clip-cfr extract --dataset celeba --model open-clip:RN50/openai
      clip-cfr extract --dataset folder --root photos --limit 200
      clip-cfr extract --dataset folder --metadata M.csv --columns label=dx
      clip-cfr extract --dataset webdataset --root 'shards/{000..999}.tar'
      clip-cfr extract --dataset celeba --root data/celeba --shard 3/8
      clip-cfr extract --dataset celeba --engine ray --ray-address auto
    """
    from clip_cfr.extract.datasets.common.options import DatasetOptions
    from clip_cfr.extract.manifest.shards import default_cache_name, parse_shard
    from clip_cfr.extract.options import ExtractOptions
    from clip_cfr.extract.pipeline import extract_dataset
    from clip_cfr.extract.progress import show_progress
    from clip_cfr.extract.summary import render_summary

    parsed_shard = parse_shard(shard) if shard else None
    dataset = find_dataset(dataset)
    out = out or Path(default_cache_name(dataset, parsed_shard))
    data = DatasetOptions(
        metadata=metadata,
        columns=columns,
        drop_missing=drop_missing,
        ignore_splits=ignore_splits,
        val_fraction=val_fraction,
        class_names=class_names,
        prompts=prompts,
        target=target,
        spurious=spurious,
        split_by=split_by,
        protocol=protocol,
        seed=seed,
    )
    encoder = EncoderSpec(
        model=model,
        revision=revision,
        device=device,
        dtype=dtype,
        compile=compile,
        channels_last=channels_last,
    )
    options = ExtractOptions(
        batch_size=None if batch_size == "auto" else batch_size,
        workers=workers,
        skip_unreadable=on_error == "skip",
        features_dtype=features_dtype,
        templates=templates,
        words=words,
        limit=limit,
        shard=parsed_shard,
        overwrite=overwrite,
        max_pixels=max_pixels,
        bit_depth=bit_depth,
    )
    interrupted = f"{out}: interrupted; run the same command again to resume"
    with exit_on_interrupt(interrupted), show_progress() as reporter:
        summary = extract_dataset(
            dataset,
            root,
            out,
            encoder=encoder,
            data=data,
            options=options,
            engine=engine,
            ray_address=ray_address,
            reporter=reporter,
        )
    emit(summary.to_json(), as_json, lambda _: render_summary(summary))
    if parsed_shard is None:
        echo_command("next", calibrate_command(out))
    else:
        when = f"next, once all {parsed_shard[1]} shards exist"
        echo_command(when, merge_command(out, parsed_shard))
