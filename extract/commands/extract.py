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
    f"Published data sets: {', '.join(PUBLISHED_DATASETS)}. Your own images: folder, webdataset "
    "(tar archives), parquet. See docs/data.md."
)
ROOT = (
    "Folder of the data set; by default data/NAME. webdataset and parquet also take a file, or a "
    "pattern in quotes, such as 'shards/{000000..000999}.tar'."
)
PROMPTS = (
    "JSON file with the words for each class, in the order of the labels, such as "
    '{"classes": [["dog", "puppy"], ["a photo of a cat."]]}, or by class name. "attributes" has '
    "those of attribute values. A word is put into the templates; one that ends with a full stop "
    "is a complete prompt."
)
TEMPLATES = (
    "Sentences into which class names are put. imagenet: CLIP's 80 for ImageNet. simple: 'a photo "
    "of a {}.'. The cache has both, and the names alone, too; calibrate --prompts chooses others."
)
WORDS = (
    "Store the embeddings of about 1,700 words in the cache, with which explain describes images. "
    "This takes seconds on a GPU, and about 40 s for ViT-B/32 on two cores."
)
LIMIT = "Extract at most N images, spread over splits and groups, such as for a trial."
SHARD = (
    "Extract only the I-th of N equal parts of the images, I from 1 to N, into a shard. The "
    "command merge makes one cache of all shards."
)
DTYPE = (
    "Number type of the computation. auto: float16 on a GPU, bfloat16 on a CPU with instructions "
    "for it, else float32. Small models always have float32."
)
BATCH_SIZE = (
    "Number of images in a batch. auto: 32 on a CPU; on a GPU as many as its memory holds, halved "
    "if it runs out."
)
WORKERS = (
    "Decode images in N further processes; 0: in this one. By default one for each core with a "
    "GPU, one for every four cores without, and 0 if decoding takes less than the 4 s that a "
    "process needs to start."
)
COMPILE = (
    "Compile the image tower with torch.compile. This takes half a minute at every start and needs "
    "a C++ compiler; ViT-B/32 was 10 % faster on two cores."
)
CHANNELS_LAST = (
    "Use the channels-last memory layout. ViT-B/32, which has one small convolution, gains nothing "
    "on a CPU."
)
ENGINE = (
    "Where extraction runs. local: on this machine. ray: on a Ray cluster, whose processes and "
    "nodes may fail; it encodes on all GPUs, or on CPUs if there are none. The file is the same. "
    "ray needs the extra ray of the package (docs/scaling.md)."
)
RAY_ADDRESS = (
    "Ray cluster to use: HOST:PORT, or auto for the one that this machine belongs to. By default "
    "Ray starts on this machine. Images and model need the same path on every node."
)
BIT_DEPTH = (
    "Number of bits that the pixels of 16-bit files use, such as 12 for many X-ray detectors: "
    "2^N - 1 is white. auto: as measured on a sample of the images."
)
MAX_PIXELS = (
    "Largest image to decode, in pixels; a larger one counts as unreadable. One of 89 megapixels "
    "takes 270 MB in memory."
)
ON_ERROR = (
    "Handling of an unreadable image. fail: stop with an error. skip: keep its row, marked as not "
    "valid; it takes part in nothing."
)


@click.command(cls=Command)
@optgroup.group("Data set")
@optgroup.option("--dataset", metavar="NAME", required=True, help=DATASET)
@optgroup.option("--root", type=PATH, help=ROOT)
@optgroup.option("--metadata", type=PATH, help=METADATA)
@optgroup.option("--columns", type=Columns(), help=COLUMNS)
@optgroup.option("--drop-missing", is_flag=True, default=None, help=DROP_MISSING)
@optgroup.option("--class-names", type=ClassNames(), help=CLASS_NAMES)
@optgroup.option("--prompts", type=PATH, help=PROMPTS)
@optgroup.option("--target", help="celeba only: the attribute that is the label.")
@optgroup.option("--spurious", help="celeba only: the spurious attribute.")
@optgroup.option("--ignore-splits", type=NameList(), help=IGNORE_SPLITS)
@optgroup.option("--split-by", metavar="COLUMN", help=SPLIT_BY)
@optgroup.option("--val-fraction", type=float, help=VAL_FRACTION)
@optgroup.option("--protocol", help="cmnist only: subpopbench (two classes) or five-class.")
@optgroup.option(
    "--seed", type=click.IntRange(min=0), help="Seed of splits that are drawn at random."
)
@optgroup.group("Output")
@optgroup.option("--out", type=PATH, help="Cache file; by default NAME.h5, or NAME.I-of-N.h5.")
@optgroup.option(
    "--overwrite", is_flag=True, help="Replace a finished file, or start an unfinished job anew."
)
@optgroup.option("--limit", type=click.IntRange(min=1), metavar="N", help=LIMIT)
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
    "--workers",
    type=click.IntRange(min=0),
    metavar="N",
    show_default="by device and work",
    help=WORKERS,
)
@optgroup.option(
    "--features-dtype",
    type=click.Choice(["float16", "float32"]),
    default="float16",
    help="Number type of the features in the cache.",
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
    """Encode the images of a data set, once, into a cache file that all other commands read.

    Most extractions need --dataset, --root, --model and --out only. After an interruption, run the
    same command again to resume; it keeps the device, number type and batch size of its start.

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
