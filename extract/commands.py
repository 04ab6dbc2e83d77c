"""The commands that write caches: extract and import."""

from pathlib import Path

import click

from clip_cfr.cache.console import (
    PATH,
    Command,
    emit,
    exit_on_interrupt,
    json_option,
    overwrite_option,
)
from clip_cfr.extract.datasets import DATASETS

PAPER_MODEL = "openai/clip-vit-large-patch14-336"
PUBLISHED_DATASETS = [name for name in DATASETS if name != "folder"]
DATASETS_HELP = f"{', '.join(PUBLISHED_DATASETS)}, or folder for your own."
CLASS_NAMES = (
    "Other names for the classes, which are also their prompts: in the order of their numbers; for "
    "labels that are words in a CSV file, those words in another order."
)
PROMPTS = (
    'JSON file such as {"classes": [["dog", "puppy"], ["a photo of a cat."]]}, or with an object '
    "from class name to list; attributes likewise. Names go into the templates, what ends with a "
    "full stop stays as it is."
)
MODEL_HELP = "A hub id or a local folder; or open-clip:ARCHITECTURE/TAG_OR_FILE, open-clip:FOLDER."
COMPUTE = (
    "What the image tower computes in. auto: float16 on a GPU, bfloat16 on a CPU that has it in "
    "hardware, else float32, which small models keep everywhere."
)
COMPILE = (
    "Translate the image tower by torch.compile: ViT-B/32 then ran a tenth faster on two cores, "
    "but it takes half a minute at every start, and a C++ compiler."
)
LAYOUT = (
    "Keep the colours of a pixel side by side in memory: no gain for ViT-B/32 on a CPU, whose one "
    "convolution is small."
)

ENGINE = (
    "Who computes: this machine, or Ray (the extra `ray`), which decodes on CPUs, encodes on all "
    "GPUs or else on CPUs, and goes on where processes or nodes are lost. Same file."
)
RAY_ADDRESS = (
    "A Ray cluster: HOST:PORT, or auto for the one that this machine is part of. Without it Ray is "
    "started here. Images and model must lie under the same paths on every node."
)


class SizeOrAuto(click.ParamType):
    """A whole number from 1, or `auto`."""

    name = "auto|N"

    def convert(self, value, param, ctx):
        if value == "auto":
            return value
        try:
            return click.IntRange(min=1).convert(int(value), param, ctx)
        except ValueError:
            self.fail(f"{value!r} is neither auto nor a whole number", param, ctx)


@click.command(cls=Command)
@click.option("--dataset", metavar="NAME", required=True, help=DATASETS_HELP)
@click.option("--root", type=PATH, help="Where the data set lies; by default data/NAME.")
@click.option("--out", type=PATH, help="The cache to write; by default NAME.h5, NAME.I-of-N.h5.")
@click.option("--model", default=PAPER_MODEL, help=MODEL_HELP)
@click.option("--revision", help="Branch, tag or commit of a hub id.")
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", help="Where it runs."
)
@click.option(
    "--dtype",
    type=click.Choice(["auto", "float32", "bfloat16", "float16"]),
    default="auto",
    help=COMPUTE,
)
@click.option(
    "--features-dtype",
    type=click.Choice(["float16", "float32"]),
    default="float16",
    help="How features are stored.",
)
@click.option(
    "--batch-size",
    type=SizeOrAuto(),
    default="auto",
    help="Images in a batch. auto: what the GPU's memory holds, halved when it runs out; 32 on a "
    "CPU.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=0),
    show_default="by device and work",
    help="Processes that decode images; 0 decodes in this one. By default one a core for a GPU, "
    "one for four cores otherwise, and 0 where decoding takes less than the 4 s of their start.",
)
@click.option("--compile/--no-compile", default=None, show_default="no", help=COMPILE)
@click.option("--channels-last/--no-channels-last", default=None, show_default="no", help=LAYOUT)
@click.option("--engine", type=click.Choice(["local", "ray"]), default="local", help=ENGINE)
@click.option("--ray-address", metavar="ADDRESS", help=RAY_ADDRESS)
@click.option(
    "--on-error",
    type=click.Choice(["fail", "skip"]),
    default="fail",
    help="At an image that cannot be read: stop, or keep its row as not valid.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    help="Take only so many images, spread over splits and groups.",
)
@click.option(
    "--shard",
    metavar="I/N",
    help="Take only the I-th of N parts of the rows, I from 1 to N; merge joins them.",
)
@click.option(
    "--templates",
    type=click.Choice(["imagenet", "simple"]),
    default="imagenet",
    help="What class names are put into: CLIP's 80 sentences, or one.",
)
@click.option("--metadata", type=PATH, help="CSV file that lists the images.")
@click.option("--class-names", metavar="A,B,..", help=CLASS_NAMES)
@click.option("--prompts", type=PATH, help=PROMPTS)
@click.option("--target", help="celeba: the attribute that is the label.")
@click.option("--spurious", help="celeba: the attribute that is the spurious one.")
@click.option("--split-by", help="chexpert: patient or image.")
@click.option("--protocol", help="cmnist: subpopbench or five-class.")
@click.option("--seed", type=click.IntRange(min=0), help="For splits that are drawn.")
@overwrite_option
@json_option
def extract(
    dataset,
    root,
    out,
    model,
    revision,
    device,
    dtype,
    features_dtype,
    batch_size,
    workers,
    compile,
    channels_last,
    engine,
    ray_address,
    on_error,
    limit,
    shard,
    templates,
    metadata,
    class_names,
    prompts,
    target,
    spurious,
    split_by,
    protocol,
    seed,
    overwrite,
    as_json,
):
    """Encode the images of a data set once, into a cache that calibrate trains on.

    Killed or interrupted, the same command goes on from where it was, with the device, type and
    batch size that it was begun with.

    On many machines each does one --shard, and merge joins them; under SLURM, for example, with
    --array=1-64: --shard $SLURM_ARRAY_TASK_ID/64.

    \b
    Example:
      clip-cfr extract --dataset waterbirds --root data/waterbirds
      clip-cfr extract --dataset digits --model extract/tiny_clip
      clip-cfr extract --dataset celeba --model open-clip:RN50/openai
      clip-cfr extract --dataset folder --root photos --metadata photos/list.csv --limit 200
      clip-cfr extract --dataset celeba --root data/celeba --shard 3/8
      clip-cfr extract --dataset celeba --engine ray --ray-address auto
    """
    from dataclasses import asdict

    from clip_cfr.extract.datasets.common.options import DatasetOptions
    from clip_cfr.extract.encoders.spec import EncoderSpec
    from clip_cfr.extract.manifest.shards import default_cache_name, parse_shard
    from clip_cfr.extract.options import ExtractOptions
    from clip_cfr.extract.pipeline import extract_dataset
    from clip_cfr.extract.progress import progress_on_stderr
    from clip_cfr.extract.summary import render

    part = parse_shard(shard) if shard else None
    out = out or Path(default_cache_name(dataset, part))
    data = DatasetOptions(
        metadata=metadata,
        class_names=tuple(class_names.split(",")) if class_names else None,
        prompts=prompts,
        target=target,
        spurious=spurious,
        split_by=split_by,
        protocol=protocol,
        seed=seed,
    )
    spec = EncoderSpec(model, revision, device, dtype, compile, channels_last)
    options = ExtractOptions(
        batch_size=None if batch_size == "auto" else batch_size,
        workers=workers,
        skip_unreadable=on_error == "skip",
        features_dtype=features_dtype,
        templates=templates,
        limit=limit,
        shard=part,
        overwrite=overwrite,
    )
    message = f"{out}: interrupted; what is done is kept, and the same command goes on from there"
    with exit_on_interrupt(message), progress_on_stderr() as progress:
        summary = extract_dataset(
            dataset,
            root,
            out,
            encoder=spec,
            data=data,
            options=options,
            engine=engine,
            ray_address=ray_address,
            progress=progress,
        )
    emit(asdict(summary), as_json, lambda _: render(summary))


@click.command("import", cls=Command)
@click.option("--features", type=PATH, required=True, help="Matrix (n, D) of a .npy file.")
@click.option(
    "--metadata", type=PATH, required=True, help="CSV file: filename,label[,attribute][,split]."
)
@click.option("--class-embeddings", type=PATH, help="Matrix (classes, P); by default class means.")
@click.option("--projection", type=PATH, help="Matrix (D, P); by default the identity.")
@click.option("--out", type=PATH, required=True, help="The cache to write.")
@click.option("--dataset", "name", default="imported", help="What to call the data set.")
@click.option("--class-names", metavar="A,B,..", help="Class names, in the order of the numbers.")
@click.option("--seed", type=click.IntRange(min=0), help="For splits that are drawn.")
@overwrite_option
@json_option
def import_(
    features,
    metadata,
    class_embeddings,
    projection,
    out,
    name,
    class_names,
    seed,
    overwrite,
    as_json,
):
    """Make a cache from embeddings that exist already; the images need not.

    \b
    Example:
      clip-cfr import --features F.npy --metadata list.csv --out mine.h5
      clip-cfr import --features F.npy --metadata list.csv --class-embeddings T.npy \\
        --projection W.npy --class-names landbird,waterbird --dataset waterbirds --out mine.h5
    """
    from clip_cfr.cache.files.atomic import check_overwrite
    from clip_cfr.cache.read.info import read_info
    from clip_cfr.cache.read.info_table import render_info
    from clip_cfr.cache.write.writer import write_cache
    from clip_cfr.extract.importing.import_embeddings import EmbeddingFiles, import_embeddings

    if out in (features, metadata, class_embeddings, projection):
        raise click.UsageError(f"--out {out} is one of the files to read; name another")
    check_overwrite(out, overwrite)
    files = EmbeddingFiles(features, metadata, class_embeddings, projection)
    names = tuple(class_names.split(",")) if class_names else None
    cache, notes = import_embeddings(files, name, names, seed)
    write_cache(out, cache, overwrite)
    found = read_info(out)
    emit({**found, "notes": notes}, as_json, render_info)
    for note in notes:
        click.echo(f"note: {note}", err=as_json)
