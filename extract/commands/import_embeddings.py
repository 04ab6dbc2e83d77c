"""The command import."""

import click
from click_option_group import optgroup

from clip_cfr.cache.console import PATH, Command, echo, emit
from clip_cfr.cache.interrupts import exit_on_interrupt
from clip_cfr.extract.commands.next_command import calibrate_command, echo_command
from clip_cfr.extract.commands.synthetic_options import check_given, synthetic_options
from clip_cfr.extract.commands.texts import (
    CLASS_NAMES,
    COLUMNS,
    DROP_MISSING,
    IGNORE_SPLITS,
    METADATA,
    SPLIT_BY,
    VAL_FRACTION,
)
from clip_cfr.extract.option_types import ClassNames, Columns, NameList

IMPORTED_METADATA = (
    f"{METADATA.partition(' By default')[0]} The images need not exist. Give one list for all "
    "--features, or one for each. Features that come with labels need none."
)
FEATURES = (
    "Matrix with a row for each image, (n, D), in a .npy, .npz, .csv, .parquet, .h5, .safetensors "
    "or .pt file, or a folder of clip-retrieval. KEY is the name of an array in the file, as in "
    "F.h5:/train. May be given several times; the rows follow one another."
)
SEED = "Seed of splits drawn at random, and of synthetic features."
UNUSABLE = (
    "Handling of a row without features, of zeros, or with NaN or infinity. fail: stop with an "
    "error. skip: keep the row, marked as not valid; it takes part in nothing."
)
WORDS = (
    "Words file to keep in the cache, from the command words with the model that computed the "
    "features."
)

# A file, or an array in it; the name of the array is split off later.
ARRAY = click.STRING


@click.command("import", cls=Command)
@optgroup.group("Embeddings")
@optgroup.option("--features", type=ARRAY, multiple=True, metavar="FILE[:KEY]", help=FEATURES)
@optgroup.option("--metadata", type=PATH, multiple=True, help=IMPORTED_METADATA)
@optgroup.option(
    "--class-embeddings",
    type=ARRAY,
    metavar="FILE[:KEY]",
    help="Text embeddings of the classes, a matrix (classes, P). By default the mean embedding of "
    "the training images of each class.",
)
@optgroup.option(
    "--projection",
    type=ARRAY,
    metavar="FILE[:KEY]",
    help="CLIP's projection from features to embeddings, a matrix (D, P). By default the identity.",
)
@optgroup.option("--words", type=PATH, help=WORDS)
@optgroup.option("--on-error", type=click.Choice(["fail", "skip"]), default="fail", help=UNUSABLE)
@synthetic_options
@optgroup.group("Data set")
@optgroup.option("--dataset", show_default="imported, or synthetic", help="Name of the data set.")
@optgroup.option("--columns", type=Columns(), help=COLUMNS)
@optgroup.option("--drop-missing", is_flag=True, default=None, help=DROP_MISSING)
@optgroup.option("--class-names", type=ClassNames(), help=CLASS_NAMES)
@optgroup.option("--ignore-splits", type=NameList(), help=IGNORE_SPLITS)
@optgroup.option(
    "--split-by", metavar="COLUMN", help=SPLIT_BY.removesuffix(" chexpert: patient or image.")
)
@optgroup.option("--val-fraction", type=float, help=VAL_FRACTION)
@optgroup.option("--seed", type=click.IntRange(min=0), help=SEED)
@optgroup.group("Output")
@optgroup.option("--out", type=PATH, required=True, help="Cache file to write.")
@optgroup.option("--overwrite", is_flag=True, help="Replace a finished file.")
@optgroup.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def import_(
    context,
    features,
    metadata,
    class_embeddings,
    projection,
    words,
    on_error,
    synthetic,
    dataset,
    columns,
    drop_missing,
    class_names,
    ignore_splits,
    split_by,
    val_fraction,
    seed,
    out,
    overwrite,
    as_json,
    **parameters,
):
    """Write a cache from embeddings that were computed elsewhere, or of synthetic features.

    D is the number of features of an image, P that of its embedding after CLIP's projection.

    \b
    Example:
      clip-cfr import --features F.npy --metadata list.csv --out mine.h5
      clip-cfr import --features F.npz:image_features --metadata list.csv --out mine.h5
      clip-cfr import --features train.npy --features val.npy --features test.npy \\
        --metadata train.csv --metadata val.csv --metadata test.csv --out mine.h5
      clip-cfr import --features clip-retrieval-folder --metadata list.csv --out mine.h5
      clip-cfr import --features F.npy --metadata list.csv --projection W.npy \\
        --class-embeddings T.npy --class-names landbird,waterbird --out mine.h5
      clip-cfr import --synthetic --correlation 0.95 --out world.h5
    """
    from clip_cfr.cache.read.info import read_info
    from clip_cfr.cache.read.info_table import render_info

    check_given(context)
    with exit_on_interrupt(f"{out}: interrupted; run the same command again"):
        if synthetic:
            from clip_cfr.extract.importing.synthetic.import_synthetic import import_synthetic
            from clip_cfr.extract.importing.synthetic.world import SyntheticWorld

            world = SyntheticWorld(**parameters, seed=0 if seed is None else seed)
            name = "synthetic" if dataset is None else dataset
            notes = import_synthetic(out, world, dataset=name, overwrite=overwrite)
        else:
            from clip_cfr.extract.importing.import_embeddings import import_embeddings

            notes = import_embeddings(
                features,
                metadata,
                out,
                class_embeddings=class_embeddings,
                projection=projection,
                words=words,
                dataset="imported" if dataset is None else dataset,
                columns=columns,
                drop_missing=drop_missing,
                class_names=class_names,
                ignore_splits=ignore_splits,
                split_by=split_by,
                val_fraction=val_fraction,
                seed=seed,
                skip_unusable=on_error == "skip",
                overwrite=overwrite,
            )
    emit({**read_info(out), "notes": notes}, as_json, render_info)
    for note in notes:
        echo(f"note: {note}", err=True)
    echo_command("next", calibrate_command(out))
