"""The Python API of the command `explain`."""

import shlex
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from clip_cfr.cache.console import program_name
from clip_cfr.cache.wording import agree, count_noun
from clip_cfr.calibrate.explain.inputs import Inputs, read_inputs
from clip_cfr.calibrate.explain.named_groups import measure_named
from clip_cfr.calibrate.explain.permutations import PERMUTATIONS
from clip_cfr.calibrate.explain.result import ClassErrorsExplained, Explanation
from clip_cfr.calibrate.explain.slices import accuracies, find_slices
from clip_cfr.calibrate.explain.suggestion import suggest_attributes, suggest_command
from clip_cfr.calibrate.explain.words import (
    LEVEL,
    ComparedWords,
    compare_words,
    describe_words,
    find_named_classes,
    why_untested,
)
from clip_cfr.calibrate.named.request import Attributes
from clip_cfr.calibrate.progress import ProgressReporter

SEED = 0
# Stands for the file that the user makes.
WORDS_FILE = "WORDS.h5"


def explain_run(
    directory: str | Path,
    method: str | None = None,
    split: str = "val",
    words: str | Path | None = None,
    cache: str | Path | None = None,
    top: int = 10,
    attributes: Attributes | None = None,
    attribute_margin: float = 0.0,
    reporter: ProgressReporter | None = None,
) -> Explanation:
    """Describe the images that a method of a run misclassifies, in words and as slices.

    Nothing is written. The permutations have a fixed seed, so that equal inputs give equal results.

    Args:
        directory: the run folder.
        method: the method whose errors are explained, with the recommended seed or its first; by
            default `erm`. None for `train`.
        split: `val`, `test`, or `train` for the training errors that CFR learns from, which are
            those of the identification head or of CLIP. They have no slices.
        words: a words file; by default the words of the cache, and without any no word is tested.
        cache: where the cache of the run is now; by default as named in the run.
        top: most words of a class in each direction.
        attributes: attributes named in words, as for `calibrate_cache`, whose groups get
            accuracies; by default those of the run.
        attribute_margin: images whose two most similar values differ by less, in cosine
            similarity, get no value.
        reporter: receives messages; by default lines on standard error.

    Raises:
        CacheError: the run, the cache or the words file cannot be read; the cache is not that of
            the run; the words are of another model; or the run has no predictions of the method or
            the split.
        CalibrationError: the attributes cannot be read or embedded, or no image has a value.
        SettingsError: a method is given for `train`, or the attributes cannot be used.
    """
    inputs = read_inputs(
        Path(directory), method, split, words, cache, attributes, attribute_margin, reporter
    )
    method = inputs.method
    found, texts, images = inputs.words, inputs.texts, inputs.images
    tested, names = [], np.full(0, -1)
    if found is not None:
        rng = np.random.default_rng(SEED)
        tested = compare_words(rng, images, method, texts, found)
        names = find_named_classes(found, texts)
    classes = describe_classes(inputs, method, tested, names, top)
    attributes = suggest_attributes(classes, inputs.named.phrases if inputs.named else ())
    return Explanation(
        run=str(directory),
        cache=str(inputs.cache_path),
        dataset=inputs.dataset,
        split=split,
        method=method,
        seed=inputs.seed,
        methods=tuple(images.predicted),
        num_words=0 if found is None else len(found.words),
        level=LEVEL,
        permutations=PERMUTATIONS,
        classes=classes,
        slices=()
        if images.probability is None
        else find_slices(images, method, texts.class_names, tested, found, names < 0),
        named=measure_named(inputs.named, images, split),
        statement=make_statement(
            inputs, tested, command_with_words(directory, method, split, cache), split
        ),
        attributes=attributes,
        command=suggest_command(
            attributes, inputs.cache_path, inputs.config, inputs.val_fraction, words
        ),
    )


def describe_classes(
    inputs: Inputs, method: str, tested: Sequence[ComparedWords], names: np.ndarray, top: int
) -> tuple[ClassErrorsExplained, ...]:
    """Return the errors of every class, with its words if they were tested.

    Args:
        inputs: images, texts and words.
        method: the explained method.
        tested: the tested classes.
        names: for each word the index of the class that it names, or -1.
        top: most words of a class in each direction.
    """
    by_label = {each.label: each for each in tested}
    class_names = inputs.texts.class_names
    named = [None if index < 0 else class_names[index] for index in names]
    return tuple(
        describe_class(inputs, method, label, by_label.get(label), named, top)
        for label in range(len(class_names))
    )


def describe_class(
    inputs: Inputs,
    method: str,
    label: int,
    tested: ComparedWords | None,
    named: Sequence[str | None],
    top: int,
) -> ClassErrorsExplained:
    """Return the errors of a class."""
    images = inputs.images
    rows = np.flatnonzero(images.labels == label)
    wrong = images.wrong(method)[rows]
    untested = why_untested(wrong)
    if untested is None and tested is None:
        untested = "no words"
    wrong_words, right_words = (
        () if tested is None else describe_words(tested, inputs.words, sign, named, top)
        for sign in (1, -1)
    )
    return ClassErrorsExplained(
        label=inputs.texts.class_names[label],
        images=len(rows),
        errors=int(wrong.sum()),
        accuracies=accuracies(images, rows) if len(rows) else {},
        untested=untested,
        num_standing_out=0 if tested is None else int(tested.stands_out.sum()),
        wrong_words=wrong_words,
        right_words=right_words,
    )


def make_statement(
    inputs: Inputs, tested: Sequence[ComparedWords], command: str, split: str
) -> str:
    """Return a sentence that says whether words stand out, with its error rate.

    Args:
        inputs: images, texts and words.
        tested: the tested classes.
        command: see `command_with_words`.
        split: the explained split.
    """
    if inputs.words is None:
        return describe_missing_words(inputs, command)
    rate = f"family-wise error {100 * LEVEL:g} %"
    number = len(inputs.words.words)
    if not tested:
        other = "" if split == "train" else "explain with --split train, or another --method, or "
        return (
            f"no class has enough wrong and right images to test {count_noun(number, 'word')}; "
            f"{other}calibrate on more images, or name an attribute that you suspect: calibrate "
            "--attribute"
        )
    count = np.count_nonzero(np.any([each.stands_out for each in tested], axis=0))
    if not count:
        classes = count_noun(len(tested), "class", "classes")
        return f"no word stands out among {number:,} in {classes} ({rate})"
    where = "the class" if len(tested) == 1 else f"at least one of {len(tested):,} classes"
    stand = agree(count, "stands", "stand")
    return f"{count:,} of {count_noun(number, 'word')} {stand} out in {where} tested ({rate})"


def describe_missing_words(inputs: Inputs, command: str) -> str:
    """Return a sentence with the commands for a cache without words; see `make_statement`."""
    model = " --model MODEL" if inputs.is_imported else ""
    words = f"words --cache {shlex.quote(str(inputs.cache_path))}{model} --out {WORDS_FILE}"
    which = ", where MODEL computed the features" if inputs.is_imported else ""
    return (
        f"{inputs.cache_path} has no words, so errors are not described in words; make a words "
        f"file and explain the errors with it: `{program_name()} {words}`, then `{command}`{which}"
    )


def command_with_words(
    directory: str | Path, method: str, split: str, cache: str | Path | None
) -> str:
    """Return the command that explains the same errors with a words file; see `explain_run`."""
    chosen = {} if split == "train" else {"--method": method}
    options = chosen | {"--split": split} | ({"--cache": str(cache)} if cache else {})
    given = [part for name, value in options.items() for part in (name, value)]
    words = ["explain", "--run", str(directory), *given, "--words", WORDS_FILE]
    return f"{program_name()} {shlex.join(words)}"
