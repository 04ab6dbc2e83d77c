"""The `calibrate` command with the settings of a point or run, ready to paste."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from clip_cfr.cache.console import program_name
from clip_cfr.calibrate.comparison.result import Result
from clip_cfr.calibrate.core.settings import Value, default_settings
from clip_cfr.calibrate.grid.axes import FIELDS
from clip_cfr.calibrate.methods import DEFAULT_METHODS


def calibrate_command(
    *,
    cache: str,
    methods: Sequence[str],
    varied: Mapping[str, Value],
    fixed: Mapping[str, Value],
    seeds: Sequence[int],
    hold_rows: int | None,
    prompts: str | None,
    val_fraction: float | None = None,
    attribute_options: Sequence[str] = (),
) -> str:
    """Return the command line that calibrates with some settings, quoted for a shell.

    For example, `clip-cfr calibrate --cache celeba.h5 --lr 0.001 --seeds 3`. Seeds that are not
    consecutive need several commands, joined by `&&`.

    Args:
        cache: path of the cache.
        methods: the methods; those that `calibrate` fits by default, and `cfr` alone, which is one
            of them, are not written.
        varied: settings that are always written.
        fixed: the other settings; written unless they have their default.
        seeds: the seeds; each run of consecutive ones is written as `--seed` (unless 0) and
            `--seeds` (unless 1).
        hold_rows: rows of features in memory at a time; None for all.
        prompts: the set of class prompts; None for those of the cache.
        val_fraction: fraction of the training rows to draw as val; None draws none.
        attribute_options: the options that name attributes in words.
    """
    defaults = asdict(default_settings(bool(attribute_options)))
    changed = {name: fixed[name] for name in fixed if fixed[name] != defaults[name]}
    shown = {**changed, **varied}
    words = [*program_name().split(), "calibrate", "--cache", cache]
    if tuple(methods) not in (("cfr",), DEFAULT_METHODS):
        words += [word for name in methods for word in ("--method", name)]
    for name in FIELDS:
        if name in shown:
            words += option_words(name, shown[name])
    if hold_rows:
        words += ["--hold-rows", str(hold_rows)]
    if prompts:
        words += ["--prompts", prompts]
    if val_fraction is not None:
        words += ["--val-fraction", str(val_fraction)]
    words += attribute_options
    return " && ".join(shlex.join([*words, *seed_words(each)]) for each in split_seeds(seeds))


def tuned_commands(result: Result) -> list[str]:
    """Return the command line that calibrates with the tuned settings, for each tuned method.

    The result must have a tuning.
    """
    return [
        calibrate_command(
            cache=result.cache.path,
            methods=[name],
            varied=method.tuned_settings,
            fixed=asdict(result.settings),
            seeds=result.seeds,
            hold_rows=result.tuning.hold_rows,
            prompts=result.tuning.prompts,
            val_fraction=None if result.drawn_val is None else result.drawn_val.fraction,
            attribute_options=() if result.named is None else result.named.options,
        )
        for name, method in result.methods.items()
        if method.tuned_settings is not None
    ]


def split_seeds(seeds: Sequence[int]) -> list[range]:
    """Return the seeds as ranges, in their order: 3, 4, 5, 0 gives 3 to 5 and 0."""
    ranges: list[range] = []
    for seed in seeds:
        if ranges and seed == ranges[-1].stop:
            ranges[-1] = range(ranges[-1].start, seed + 1)
        else:
            ranges.append(range(seed, seed + 1))
    return ranges


def seed_words(seeds: range) -> list[str]:
    """Return the words of the options of `calibrate` for consecutive seeds."""
    first = ["--seed", str(seeds.start)] if seeds.start else []
    return [*first, *(["--seeds", str(len(seeds))] if len(seeds) > 1 else [])]


def option_words(name: str, value: Value) -> list[str]:
    """Return a setting as words of an option of `calibrate`; empty for None, which is the default.

    For example, `erm_lr` gives `["--erm-lr", "0.001"]`, a bool `["--NAME"]` or `["--no-NAME"]`.
    """
    word = name.replace("_", "-")
    if value is None:
        return []
    if isinstance(value, bool):
        return [f"--{word}" if value else f"--no-{word}"]
    return [f"--{word}", str(value)]
