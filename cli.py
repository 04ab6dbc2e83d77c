"""The command line: parses, imports inside the command, calls, and shows."""

import errno
import importlib.util
import json
import shlex
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path
from time import perf_counter

import click

if not __package__:
    # Run as a file: the packages beside it are the ones to use, installed or not.
    _spec = importlib.util.spec_from_file_location(
        "clip_cfr", Path(__file__).with_name("__init__.py")
    )
    sys.modules["clip_cfr"] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules["clip_cfr"])

from clip_cfr.calibrate.core.settings import NOT_REPRODUCED, PRESETS, Settings
from clip_cfr.calibrate.methods import METHODS

# Whoever opens a file says what is wrong with it, with exit code 1; click would say it with 2.
PATH = click.Path(path_type=Path, readable=False)
CONTEXT = {"help_option_names": ["-h", "--help"], "show_default": True, "max_content_width": 100}
COMMAND_LINE = (sys.executable, __file__)
PAPER_MODEL = "openai/clip-vit-large-patch14-336"
DATASETS_HELP = "digits, waterbirds, celeba, metashift, chexpert, cmnist, or folder for your own."
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
# What JAX and scikit-learn take.
SEED = click.IntRange(0, 2**31 - 1)
DEVICE = "Where JAX runs."
HOLD = "Features to hold in memory at a time, in rows; by default all if half of it holds them."
PRESET = "Start from the values of the authors' release; options given beside it win."
# Which extras bring a package, where it is not `extract` alone.
OPEN_CLIP = dict.fromkeys(("open_clip", "torchvision", "timm", "ftfy"), "extract,open-clip")
EXTRAS = {"ray": "extract,ray", **OPEN_CLIP}
SMALLER = "take fewer steps, smaller batches or pools, or fewer rows"

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


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


class Command(click.Command):
    """Shows how it is used where an option is refused, with exit code 2."""

    def invoke(self, ctx: click.Context):
        from clip_cfr.calibrate.core.errors import SettingsError
        from clip_cfr.extract.errors import OptionError

        try:
            return super().invoke(ctx)
        except (OptionError, SettingsError) as error:
            raise click.UsageError(str(error), ctx) from error


class Commands(click.Group):
    """Turns the other errors that a user can meet into one line and exit code 1."""

    command_class = Command

    def invoke(self, ctx: click.Context):
        from clip_cfr.cache.errors import CacheError
        from clip_cfr.calibrate.core.errors import CalibrationError
        from clip_cfr.extract.errors import ExtractError

        try:
            with interruptible("interrupted"):
                return super().invoke(ctx)
        except (CacheError, ExtractError, CalibrationError) as error:
            raise click.ClickException(str(error)) from error
        except ModuleNotFoundError as error:
            raise click.ClickException(missing_extra(error)) from error
        except MemoryError as error:
            raise click.ClickException(f"out of memory: {error}; {SMALLER}") from error
        except OSError as error:
            if error.errno == errno.EPIPE:  # A closed pipe is no error: click ends quietly.
                raise
            raise click.ClickException(f"{error.filename or 'output'}: {error.strerror}") from error


def missing_extra(error: ModuleNotFoundError) -> str:
    """The line that names the install command for an optional package."""
    if error.name is None:  # How transformers reports that a package is there and broken.
        return broken_package(error)
    extra = EXTRAS.get(error.name.partition(".")[0], "extract")
    return f"the package {error.name} is missing; install it with: pip install 'clip-cfr[{extra}]'"


def broken_package(error: BaseException) -> str:
    """The line that names what an import failed of in the end."""
    while error.__cause__ is not None:
        error = error.__cause__
    first_line = str(error).partition("\n")[0]
    return (
        f"an installed package cannot be imported ({type(error).__name__}: {first_line}); install "
        "torch and torchvision together, of one release and one build, or remove torchvision where "
        "no model of open_clip is used"
    )


@click.group(cls=Commands, context_settings=CONTEXT)
@click.version_option(package_name="clip-cfr")
def main():
    """Make CLIP robust to groups that nobody labelled.

    \b
    Example:
      python cli.py demo
      python cli.py extract --dataset celeba --root data/celeba
      python cli.py calibrate --cache celeba.h5
    """


def setting_options(command):
    """One option for each field of `Settings`; its help shows where the default comes from."""
    for each in reversed(fields(Settings)):
        command = setting_option(each)(command)
    return command


def setting_option(each):
    """The option of one field."""
    name, text = each.name.replace("_", "-"), f"{each.metadata['help']} ({each.metadata['source']})"
    if each.type is bool:
        return click.option(f"--{name}/--no-{name}", default=each.default, help=text)
    choices = each.metadata["choices"]
    kind = click.Choice(choices) if choices else float if each.default is None else each.type
    return click.option(f"--{name}", type=kind, default=each.default, help=text)


def make_settings(ctx: click.Context, preset: str | None, values: dict) -> Settings:
    """The settings of a command line: defaults, then the preset, then what was given."""
    given = click.core.ParameterSource.COMMANDLINE
    preset_values = PRESETS.get(preset, {})
    taken = {k: v for k, v in preset_values.items() if ctx.get_parameter_source(k) != given}
    if preset:
        click.echo(f"preset {preset}: {NOT_REPRODUCED[preset]}", err=True)
    return Settings(**{**values, **taken})


def task_of(cache):
    """What calibration learns from, out of a cache."""
    from clip_cfr.calibrate.core.task import Task

    rows, texts, head = cache.rows, cache.texts, cache.head
    return Task(
        cache.features,
        cache.valid,
        rows.labels,
        rows.attributes,
        rows.splits,
        texts.class_names,
        texts.attribute_names or ("any",),
        head.projection,
        head.bias,
        head.logit_scale,
        texts.class_embeddings,
        rows.subjects,
    )


@contextmanager
def task_in(path: Path, hold_rows: int | None):
    """A block with a cache, its task, and how many rows of features to hold in memory at a time.

    All are held where that is None; otherwise the features stay in the file.
    """
    from dataclasses import replace

    from clip_cfr.cache.read.reader import opened_cache
    from clip_cfr.calibrate.runtime.resident_rows import rows_to_hold

    with opened_cache(path) as cache:
        shape, dtype = cache.features.shape, cache.features.dtype
        held = rows_to_hold(hold_rows, shape, dtype)
        if held is None:
            cache = replace(cache, features=cache.features.in_memory())
        else:
            click.echo(f"{path}: {held} of {shape[0]} rows are held in memory at a time", err=True)
        yield cache, task_of(cache), held


def start_jax(device: str) -> str:
    """The platform that JAX computes on, set up; says so, and what that means for the order."""
    from clip_cfr.calibrate.runtime import jax_setup

    platform = jax_setup.start(device)
    order = "one after the other" if platform == "cpu" else "at once as far as memory goes"
    click.echo(f"on {platform}: stages of training run {order}", err=True)
    return platform


def training_options(command):
    """The options of every command that trains on a cache."""
    cache = click.option("--cache", "path", type=PATH, required=True, help="The cache to train on.")
    options = (
        click.option("--seeds", type=click.IntRange(min=1), default=1, help="Seeds to average."),
        click.option("--seed", type=SEED, default=0, help="The first seed."),
        click.option(
            "--device", type=click.Choice(["auto", "cpu", "gpu"]), default="auto", help=DEVICE
        ),
        click.option("--hold-rows", type=click.IntRange(min=1), help=HOLD),
        click.option("--preset", type=click.Choice(sorted(PRESETS)), help=PRESET),
        json_option,
        setting_options,
    )
    for each in reversed(options):
        command = each(command)
    return cache(command)


@main.command()
@click.option(
    "--method",
    "methods",
    multiple=True,
    type=click.Choice(METHODS),
    default=("zeroshot", "erm", "cfr"),
    help="What to compare; may be given several times.",
)
@click.option("--out", type=PATH, help="The run's folder; by default runs/NAME-TIME.")
@click.option("--overwrite", is_flag=True, help="Replace a finished run.")
@training_options
@click.pass_context
def calibrate(
    ctx, path, methods, seeds, seed, out, overwrite, device, hold_rows, preset, as_json, **values
):
    """Train and compare heads on a cache, and recommend one.

    \b
    Example:
      python cli.py calibrate --cache celeba.h5
      python cli.py calibrate --cache celeba.h5 --method erm --method cfr --seeds 5 --lr 1e-4
    """
    started = perf_counter()
    settings = make_settings(ctx, preset, values)

    from clip_cfr.cache.runs.run import default_run_directory, refuse_finished_run
    from clip_cfr.calibrate.comparison.compare import compare
    from clip_cfr.calibrate.comparison.summary import summarise
    from clip_cfr.calibrate.comparison.table import render
    from clip_cfr.calibrate.runtime import jax_setup

    out = out or default_run_directory(path.stem)
    refuse_finished_run(out, overwrite)
    device = start_jax(device)
    imported = perf_counter()
    message = "interrupted; nothing was written"
    with interruptible(message), task_in(path, hold_rows) as (cache, task, held):
        seed_range = range(seed, seed + seeds)
        loaded = perf_counter()
        with jax_setup.compile_seconds() as compiling:
            outcomes, failures = compare(
                task, settings, dict.fromkeys(methods), seed_range, tell_progress, held
            )
        if not outcomes:
            refuse_failures(failures)
        trained = perf_counter()
        result = described(path, cache) | summarise(task, settings, outcomes, seed_range)
        result["failures"] = failures
        result["seconds"] = {
            "import": imported - started,
            "load": loaded - imported,
            "compile": compiling.seconds,
            "train": trained - loaded - compiling.seconds,
            "total": perf_counter() - started,
        }
        try:
            keep_run(out, path, cache, held, settings, outcomes, result, device, overwrite)
        finally:  # What took long to find out is shown even where the disk is full.
            for warning in result["warnings"]:
                click.echo(f"warning: {warning}", err=True)
            emit(result, as_json, render)
    click.echo(f"run written to {out}", err=True)
    refuse_failures(failures)


def refuse_failures(failures: dict[str, str]) -> None:
    """Raises where a method could not be fitted."""
    from clip_cfr.calibrate.core.errors import CalibrationError

    if failures:
        raise CalibrationError("; ".join(f"{name}: {why}" for name, why in failures.items()))


def described(path: Path, cache) -> dict:
    """Which cache a result is about, and the prompts that zero-shot numbers depend on."""
    texts = cache.texts
    prompts = zip(texts.class_names, texts.class_prompts, strict=False)
    return {
        "cache": str(path),
        "dataset": cache.dataset,
        "model": cache.provenance["model"],
        "prompts": [{"class": name, "prompts": list(each)} for name, each in prompts],
    }


def keep_run(out, path, cache, held, settings, outcomes, result, device, overwrite) -> None:
    """Writes the run folder."""
    from clip_cfr.cache.read.info import content_digest
    from clip_cfr.cache.runs.run import write_run
    from clip_cfr.calibrate.comparison import record

    write_run(
        out,
        config={
            "cache": str(path),
            "methods": list(outcomes),
            "settings": asdict(settings),
            "held_rows": held,
        },
        provenance={
            "cache_sha256": content_digest(path),
            "cache": cache.provenance,
            "device": device,
            "versions": record.versions(),
        },
        metrics=result,
        history=record.histories(outcomes),
        heads=record.heads(outcomes, settings.selection),
        overwrite=overwrite,
    )


def tell_progress(method: str, seed: int) -> None:
    """Says what runs now."""
    click.echo(f"seed {seed}: {method}", err=True)


def emit(result: dict, as_json: bool, render) -> None:
    """Prints a result on standard output: as JSON, or as tables of full width off a terminal."""
    from rich.console import Console

    if as_json:
        click.echo(json.dumps(result))
    else:
        Console(width=None if Console().is_terminal else 160).print(render(result))


@contextmanager
def interruptible(message: str):
    """Ends a Ctrl-C with a message and exit code 130."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo(message, err=True)
        raise SystemExit(130) from None


@main.command()
@click.option(
    "--set",
    "sets",
    multiple=True,
    metavar="NAME=VALUES",
    help="A setting to vary: VALUE,VALUE,.. or, to sample from, LOW:HIGH, on a log scale where "
    "numbers that are not whole begin above 0 and span tenfold. May be given several times.",
)
@click.option("--settings", "file", type=PATH, help="YAML or JSON: setting to value or list.")
@click.option("--method", type=click.Choice(METHODS), default="cfr", help="What to fit.")
@click.option(
    "--sampler",
    type=click.Choice(["grid", "tpe", "random"]),
    default="grid",
    help="Every combination, or --trials points that Optuna proposes.",
)
@click.option("--trials", type=click.IntRange(min=1), help="Points to propose (tpe, random).")
@click.option("--prune", is_flag=True, help="Stop points that the first seed shows to be hopeless.")
@click.option("--workers", type=click.IntRange(min=1), default=1, help="Processes that fit.")
@click.option("--storage", metavar="URL", help="Optuna storage; by default OUT/study.db.")
@click.option("--out", type=PATH, help="The grid's folder; by default runs/NAME-grid-DIGEST.")
@click.option("--overwrite", is_flag=True, help="Start anew where OUT/study.db is.")
@training_options
@click.pass_context
def grid(
    ctx,
    path,
    sets,
    file,
    method,
    sampler,
    trials,
    prune,
    workers,
    storage,
    out,
    overwrite,
    seeds,
    seed,
    device,
    hold_rows,
    preset,
    as_json,
    **values,
):
    """Fit every combination of settings, and rank them by the validation split.

    Killed or interrupted, the same command goes on from where it was; finished, it shows the
    leaderboard again. Processes and machines that share a --storage share the work.

    \b
    Example:
      python cli.py grid --cache celeba.h5 --set lr=1e-4,1e-3 --set positive=dps,rps --seeds 3
      python cli.py grid --cache celeba.h5 --set lr=1e-5:1e-2 --sampler tpe --trials 50 --prune
    """
    settings = make_settings(ctx, preset, values)

    from clip_cfr.cache.format.shard import refuse_shard
    from clip_cfr.cache.read.info import read_info
    from clip_cfr.cache.runs.grid import STUDY, make_grid_folder, refuse_other_grid, write_grid
    from clip_cfr.calibrate.grid.leaderboard import columns, leaderboard
    from clip_cfr.calibrate.grid.plan import Plan
    from clip_cfr.calibrate.grid.result import refuse_no_result, summarise
    from clip_cfr.calibrate.grid.run import run_grid
    from clip_cfr.calibrate.grid.space import read_space
    from clip_cfr.calibrate.grid.study import OWN_STUDY, check_url, shown, url_of_file
    from clip_cfr.calibrate.grid.table import render
    from clip_cfr.calibrate.runtime.resident_rows import rows_to_hold

    space = read_space(sets, file, settings, given_settings(ctx), method)
    if storage:
        check_url(storage)
        if overwrite:
            raise click.UsageError("--overwrite removes OUT/study.db alone; leave out --storage")
    found = read_info(path)
    shape, dtype = found["features"]["shape"], found["features"]["dtype"]
    refuse_shard(path, found["provenance"], shape[0])
    seed_range = tuple(range(seed, seed + seeds))
    held = rows_to_hold(hold_rows, shape, dtype)
    fitting = {"seeds": seed_range, "method": method, "prune": prune, "hold_rows": held}
    plan = Plan(found["sha256"], space, settings, **fitting, sampler=sampler, trials=trials)
    out = out or Path("runs") / f"{path.stem}-grid-{plan.digest}"
    make_grid_folder(out, overwrite)
    if storage:
        refuse_other_grid(out, plan.digest)
    url, name = (storage, out.resolve().name) if storage else (url_of_file(out / STUDY), OWN_STUDY)
    kept = f"{out}: interrupted; what is finished is kept, and the same command goes on from there"
    with interruptible(kept):
        load = partial(load_prepared, path, device, held)
        done = run_grid(plan, url, name, load, workers)
    rows = leaderboard(plan, done)
    result = {
        "cache": str(path),
        "cache_sha256": plan.cache,
        "dataset": found["dataset"],
        "model": found["provenance"]["model"],
        "digest": plan.digest,
        **summarise(plan, rows, str(path), shown(url), name),
    }
    write_grid(out, result, columns(plan, rows))
    emit(result, as_json, render)
    if result["best"] and not as_json:  # In one piece, so that it can be pasted.
        click.echo(f"Calibrate with the best point:\n{result['best']['command']}")
    click.echo(f"grid written to {out}", err=True)
    refuse_no_result(result)


def given_settings(ctx: click.Context) -> set[str]:
    """The settings that have a value on the command line."""
    given = click.core.ParameterSource.COMMANDLINE
    return {each.name for each in fields(Settings) if ctx.get_parameter_source(each.name) == given}


@contextmanager
def load_prepared(path: Path, device: str, hold_rows: int | None):
    """A block with the task of a cache on a device; in any process, for JAX is set up here."""
    from clip_cfr.calibrate.core.experiment import prepare

    start_jax(device)
    with task_in(path, hold_rows) as (_, task, held):
        yield prepare(task, held)


@main.command()
@click.option("--dataset", "name", metavar="NAME", required=True, help=DATASETS_HELP)
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
@click.option("--overwrite", is_flag=True, help="Replace a cache that exists.")
@json_option
def extract(
    name,
    root,
    out,
    model,
    revision,
    device,
    dtype,
    compile,
    channels_last,
    engine,
    ray_address,
    on_error,
    class_names,
    as_json,
    **values,
):
    """Encode the images of a data set once, into a cache that calibrate trains on.

    Killed or interrupted, the same command goes on from where it was, with the device, type and
    batch size that it was begun with.

    On many machines each does one --shard, and merge joins them; under SLURM, for example, with
    --array=1-64: --shard $SLURM_ARRAY_TASK_ID/64.

    \b
    Example:
      python cli.py extract --dataset waterbirds --root data/waterbirds
      python cli.py extract --dataset digits --model extract/tiny_clip
      python cli.py extract --dataset celeba --model open-clip:RN50/openai
      python cli.py extract --dataset folder --root photos --metadata photos/list.csv --limit 200
      python cli.py extract --dataset celeba --root data/celeba --shard 3/8
      python cli.py extract --dataset celeba --engine ray --ray-address auto
    """
    check_engine(engine, ray_address, values["workers"])
    from clip_cfr.extract.manifest.shards import default_name, parse_shard

    values["shard"] = parse_shard(values["shard"]) if values["shard"] else None
    out = out or Path(default_name(name, values["shard"]))
    message = f"{out}: interrupted; what is done is kept, and the same command goes on from there"
    with interruptible(message):
        from clip_cfr.cache.files.atomic import refuse_finished
        from clip_cfr.cache.write.journal import begun_job
        from clip_cfr.extract.datasets import load_dataset
        from clip_cfr.extract.datasets.common.options import DatasetOptions

        refuse_finished(out, values["overwrite"])
        values["class_names"] = tuple(class_names.split(",")) if class_names else None
        values["skip_unreadable"] = on_error == "skip"
        if values["batch_size"] == "auto":
            values["batch_size"] = None
        manifest = load_dataset(name, root or Path("data") / name, taken(DatasetOptions, values))
        click.echo(f"loading {model}", err=True)

        # Torch takes seconds to import: what is wrong with the data set is said before.
        from clip_cfr.extract.encoders.base import EncoderSpec, settled
        from clip_cfr.extract.progress import progress_on_stderr
        from clip_cfr.extract.run import ExtractOptions
        from clip_cfr.extract.run import extract as run
        from clip_cfr.extract.summary import render

        spec = EncoderSpec(model, revision, device, dtype, compile, channels_last)
        with ExitStack() as stack:
            running = started_engine(engine, ray_address, settled(spec, begun_job(out)))
            encoder, runs = stack.enter_context(running)
            progress = stack.enter_context(progress_on_stderr())
            summary = run(manifest, encoder, out, taken(ExtractOptions, values), progress, runs)
    emit(asdict(summary), as_json, lambda _: render(summary))


def check_engine(engine: str, ray_address: str | None, workers: int | None) -> None:
    """Raises where options do not go together."""
    if engine == "ray" and workers == 0:
        raise click.UsageError(
            "--workers 0 decodes in this process; with --engine ray take 1 or more"
        )
    if engine != "ray" and ray_address is not None:
        raise click.UsageError("--ray-address is for --engine ray alone; give that as well")


@contextmanager
def started_engine(engine: str, ray_address: str | None, spec):
    """A block with the encoder of a spec, and the engine that runs it."""
    if engine == "local":
        from clip_cfr.extract.encoders.load import load_encoder
        from clip_cfr.extract.engines.local import LocalEngine

        yield load_encoder(spec), LocalEngine()
        return
    from clip_cfr.extract.engines.on_ray.cluster import connected

    with connected(ray_address):
        from clip_cfr.extract.engines.on_ray.engine import begin

        yield begin(spec, partial(click.echo, err=True))


def taken(kind, values):
    """A dataclass made of those values that it has a field for."""
    return kind(**{field.name: values[field.name] for field in fields(kind)})


@main.command("import")
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
@click.option("--overwrite", is_flag=True, help="Replace a cache that exists.")
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
      python cli.py import --features F.npy --metadata list.csv --out mine.h5
      python cli.py import --features F.npy --metadata list.csv --class-embeddings T.npy \\
        --projection W.npy --class-names landbird,waterbird --dataset waterbirds --out mine.h5
    """
    from clip_cfr.cache.files.atomic import refuse_finished
    from clip_cfr.cache.read.info import read_info
    from clip_cfr.cache.read.info_table import render
    from clip_cfr.cache.write.writer import write_cache
    from clip_cfr.extract.importing.import_embeddings import EmbeddingFiles, import_embeddings

    if out in (features, metadata, class_embeddings, projection):
        raise click.UsageError(f"--out {out} is one of the files to read; name another")
    refuse_finished(out, overwrite)
    files = EmbeddingFiles(features, metadata, class_embeddings, projection)
    names = tuple(class_names.split(",")) if class_names else None
    cache, notes = import_embeddings(files, name, names, seed)
    write_cache(out, cache, overwrite)
    found = read_info(out)
    emit({**found, "notes": notes}, as_json, render)
    for note in notes:
        click.echo(f"note: {note}", err=as_json)


@main.command()
@click.argument("file", type=PATH)
@json_option
def info(file, as_json):
    """Show what is in a cache: counts, names, prompts and where the features come from.

    \b
    Example:
      python cli.py info celeba.h5
    """
    from clip_cfr.cache.read.info import read_info
    from clip_cfr.cache.read.info_table import render

    found = read_info(file)
    emit(found, as_json, render)


@main.command()
@click.argument("shards", nargs=-1, required=True, type=PATH, metavar="SHARD...")
@click.option("--out", type=PATH, required=True, help="The cache to write.")
@click.option(
    "--virtual",
    is_flag=True,
    help="Copy no features but refer to the shards; folders with all files can be moved.",
)
@click.option("--overwrite", is_flag=True, help="Replace a cache that exists.")
@json_option
def merge(shards, out, virtual, overwrite, as_json):
    """Join the shards of a data set, which extract --shard wrote, into one cache.

    \b
    Example:
      python cli.py merge celeba.*-of-8.h5 --out celeba.h5
      python cli.py merge shards/celeba.*-of-64.h5 --out celeba.h5 --virtual
    """
    from clip_cfr.cache.merge.merge import merge as run
    from clip_cfr.cache.read.info import read_info
    from clip_cfr.cache.read.info_table import render

    if out.resolve() in {shard.resolve() for shard in shards}:
        raise click.UsageError(f"--out {out} is one of the shards to read; name another")
    with interruptible(f"{out}: interrupted; nothing was written"):
        warnings = run(shards, out, overwrite, virtual)
    found = read_info(out)
    emit({**found, "warnings": warnings}, as_json, render)
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)


@main.command()
@click.argument("file", type=PATH)
@json_option
def verify(file, as_json):
    """Recompute every checksum of a cache and check every rule of its format.

    \b
    Example:
      python cli.py verify celeba.h5
    """
    from clip_cfr.cache.format.shard import Shard
    from clip_cfr.cache.read.info import read_info
    from clip_cfr.cache.read.reader import verify as run

    digests, found = run(file), read_info(file)
    result = {key: found[key] for key in ("cache", "sha256", "shard")} | {"datasets": digests}
    if as_json:
        click.echo(json.dumps(result))
    else:
        part = f"{Shard(**found['shard'])}, " if found["shard"] else ""
        click.echo(f"{file}: sound: {part}{len(digests)} data sets, SHA-256 {result['sha256']}")


@main.command()
@click.option("--out", type=PATH, default=Path("runs/demo"), help="Where all files go.")
def demo(out):
    """Digits from image files to the table, offline, on the CLIP that this project carries.

    \b
    Example:
      python cli.py demo
    """
    cache, model = out / "digits.h5", Path(__file__).parent / "extract" / "tiny_clip"
    out.mkdir(parents=True, exist_ok=True)
    methods = [word for name in METHODS for word in ("--method", name)]
    steps = (
        ["extract", "--dataset", "digits", "--root", out / "images", "--model", model],
        ["calibrate", "--cache", cache, "--seeds", 3, *methods],
    )
    places = (cache, out / "run")
    for step, place in zip(steps, places, strict=True):
        words = [*map(str, step), "--out", str(place), "--overwrite"]
        click.echo(f"$ clip-cfr {shlex.join(words)}")
        # Processes of their own: torch and JAX would each take all cores and memory.
        done = subprocess.run([sys.executable, __file__, *words])
        if done.returncode:
            raise SystemExit(done.returncode)


@main.group()
def bench():
    """Measure how fast this machine is.

    \b
    Example:
      python cli.py bench train
      python cli.py bench extract
    """


@bench.command("train")
@click.option("--repeats", type=click.IntRange(min=1), default=5, help="Medians are over these.")
@click.option("--quick", is_flag=True, help="Tiny sizes, to see that it runs; figures say nothing.")
@json_option
def bench_train(repeats, quick, as_json):
    """Time training at Waterbirds size, next to this machine's matrix product and to PyTorch.

    \b
    Example:
      python cli.py bench train
      python cli.py bench train --repeats 3 --json
    """
    from clip_cfr.calibrate.bench.run import bench_train as run
    from clip_cfr.calibrate.bench.sizes import FULL, QUICK
    from clip_cfr.calibrate.bench.table import ROWS, title

    result = run(COMMAND_LINE, QUICK if quick else FULL, repeats, tell_measured)
    emit(result, as_json, partial(figures_table, ROWS, title))


@bench.command("extract")
@click.option("--repeats", type=click.IntRange(min=1), default=3, help="Means are over these.")
@click.option("--quick", is_flag=True, help="Tiny sizes, to see that it runs; figures say nothing.")
@json_option
def bench_extract(repeats, quick, as_json):
    """Time extraction next to its encoder alone and to a loop over transformers.

    Also what a kill costs, and how time, memory and file grow from 1,000 to 100,000 images.

    \b
    Example:
      python cli.py bench extract
      python cli.py bench extract --repeats 1 --json
    """
    from clip_cfr.extract.bench.run import bench_extract as run
    from clip_cfr.extract.bench.sizes import FULL, QUICK
    from clip_cfr.extract.bench.table import ROWS, render_scale, title

    def render(result):
        from rich.console import Group

        return Group(figures_table(ROWS, title, result), render_scale(result))

    emit(run(COMMAND_LINE, QUICK if quick else FULL, repeats, tell_measured), as_json, render)


def figures_table(rows, title, result: dict):
    """The figures of a benchmark with their meaning and unit, and why some are missing.

    Each of `rows`: a name, what it is, its unit, and how many decimals say something.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Group
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, title=title(result))
    table.add_column("figure")
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("what it is")
    for name, meaning, unit, decimals in rows:
        value = result[name]
        scaled = value if value is None or unit != "ms" else value * 1e3
        shown = "-" if scaled is None else f"{scaled:.{decimals}f} {unit}"
        table.add_row(name, shown.rstrip(), meaning)
    reasons = [f"{name}: not measured: {why}" for name, why in result["not_measured"].items()]
    notes = [f"{name}: {note}" for name, note in result.get("notes", {}).items()]
    return Group(table, "\n".join([*reasons, *notes]))


def tell_measured(what: str) -> None:
    """Says what is measured now."""
    click.echo(f"measuring {what}", err=True)


if __name__ == "__main__":
    sys.exit(main())
