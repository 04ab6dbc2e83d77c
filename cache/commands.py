"""The commands on caches: info, verify, merge."""

import json

import click

from clip_cfr.cache.console import (
    PATH,
    Command,
    echo,
    emit,
    json_option,
    overwrite_option,
)
from clip_cfr.cache.interrupts import exit_on_interrupt


@click.command(cls=Command)
@click.argument("file", type=PATH)
@json_option
def info(file, as_json):
    """Show the contents of a cache: images of each split and group, names, prompts, provenance.

    FILE is a cache, or a words file of the command words. Provenance is how the features were made:
    model, image processing, versions. Everything but the features is read and checked; the command
    verify checks these, too.

    \b
    Example:
      clip-cfr info celeba.h5
    """
    from clip_cfr.cache.read.info_table import render_info
    from clip_cfr.cache.words.any_file import read_any_info
    from clip_cfr.cache.words.table import render_words_info

    found = read_any_info(file)
    emit(found, as_json, render_words_info if "words_file" in found else render_info)


@click.command(cls=Command)
@click.argument("file", type=PATH)
@json_option
def verify(file, as_json):
    """Check that a cache or a words file is not damaged.

    The command reads the whole FILE, recomputes the checksum of every array, and checks every rule
    of the format (cache/FORMAT.md, cache/WORDS.md). It names the first problem and exits with code
    1, or says that no damage was found.

    \b
    Example:
      clip-cfr verify celeba.h5
    """
    from clip_cfr.cache.format.shard import Shard
    from clip_cfr.cache.words.any_file import verify_any

    result = verify_any(file)

    if as_json:
        click.echo(json.dumps(result))
    else:
        shard = f"{Shard(**result['shard'])}, " if result.get("shard") else ""
        arrays = f"{len(result['datasets'])} arrays, SHA-256 {result['sha256']}"
        echo(f"{file}: no damage found: {shard}{arrays}")


@click.command(cls=Command)
@click.argument("shards", nargs=-1, required=True, type=PATH, metavar="SHARD...")
@click.option("--out", type=PATH, required=True, help="Cache file to write.")
@click.option(
    "--virtual",
    is_flag=True,
    help="Leave the features in the shards instead of copying them. The cache is then small, but "
    "cannot be used without the shards.",
)
@overwrite_option
@json_option
def merge(shards, out, virtual, overwrite, as_json):
    """Merge the shards that extract --shard wrote into one cache.

    All shards of the data set must be given, in any order. They must be made with the same model
    and settings. Differences that change features by rounding only, such as another device, are
    warnings.

    \b
    Example:
      clip-cfr merge celeba.*-of-8.h5 --out celeba.h5
      clip-cfr merge shards/celeba.*-of-64.h5 --out celeba.h5 --virtual
    """
    from clip_cfr.cache.merge.merge import merge_shards
    from clip_cfr.cache.read.info import read_info
    from clip_cfr.cache.read.info_table import render_info

    with exit_on_interrupt(f"{out}: interrupted; nothing was written"):
        warnings = merge_shards(shards, out, overwrite, virtual)
    emit({**read_info(out), "warnings": warnings}, as_json, render_info)
    for warning in warnings:
        echo(f"warning: {warning}", err=True)
