"""The commands on caches: info, verify, merge."""

import json

import click

from clip_cfr.cache.console import (
    PATH,
    Command,
    emit,
    interruptible,
    json_option,
    overwrite_option,
)


@click.command(cls=Command)
@click.argument("file", type=PATH)
@json_option
def info(file, as_json):
    """Show what a cache holds: row counts, names, prompts, provenance.

    \b
    Example:
      clip-cfr info celeba.h5
    """
    from clip_cfr.cache.read.info import read_info
    from clip_cfr.cache.read.info_table import render

    emit(read_info(file), as_json, render)


@click.command(cls=Command)
@click.argument("file", type=PATH)
@json_option
def verify(file, as_json):
    """Recompute every checksum of a cache and check every rule of its format.

    \b
    Example:
      clip-cfr verify celeba.h5
    """
    from clip_cfr.cache.format.shard import Shard
    from clip_cfr.cache.read.info import read_info
    from clip_cfr.cache.read.reader import verify_cache

    digests, found = verify_cache(file), read_info(file)
    result = {key: found[key] for key in ("cache", "sha256", "shard")} | {"datasets": digests}

    if as_json:
        click.echo(json.dumps(result))
    else:
        part = f"{Shard(**found['shard'])}, " if found["shard"] else ""
        click.echo(f"{file}: sound: {part}{len(digests)} arrays, SHA-256 {result['sha256']}")


@click.command(cls=Command)
@click.argument("shards", nargs=-1, required=True, type=PATH, metavar="SHARD...")
@click.option("--out", type=PATH, required=True, help="The cache to write.")
@click.option(
    "--virtual",
    is_flag=True,
    help="Refer to the features in the shards instead of copying them.",
)
@overwrite_option
@json_option
def merge(shards, out, virtual, overwrite, as_json):
    """Join the shards of a data set, which extract --shard wrote, into one cache.

    \b
    Example:
      clip-cfr merge celeba.*-of-8.h5 --out celeba.h5
      clip-cfr merge shards/celeba.*-of-64.h5 --out celeba.h5 --virtual
    """
    from clip_cfr.cache.merge.merge import merge_shards
    from clip_cfr.cache.read.info import read_info
    from clip_cfr.cache.read.info_table import render

    if out.resolve() in {shard.resolve() for shard in shards}:
        raise click.UsageError(f"--out {out} is one of the shards to read; name another")
    with interruptible(f"{out}: interrupted; nothing was written"):
        warnings = merge_shards(shards, out, overwrite, virtual)
    emit({**read_info(out), "warnings": warnings}, as_json, render)
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
