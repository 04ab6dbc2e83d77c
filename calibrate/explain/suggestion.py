"""Words that suggest an attribute, for `calibrate --attribute`."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from clip_cfr.calibrate.comparison.stored_settings import convert_settings
from clip_cfr.calibrate.core.settings import default_settings
from clip_cfr.calibrate.explain.result import ClassErrorsExplained, WordFinding
from clip_cfr.calibrate.grid.calibrate_command import calibrate_command
from clip_cfr.calibrate.named.embedded import list_options

# Values of a suggested attribute.
MOST_WORDS = 4


def suggest_attributes(
    classes: Sequence[ClassErrorsExplained], named: Collection[str] = ()
) -> tuple[str, ...]:
    """Return at least two words, or none, that may be the values of a spurious attribute.

    They are the first words of the errors of several classes. If those of one class only stand out,
    they are its first word of wrong images and its first word of right images. Words that name a
    class are left out. There are none if all of them are named already.

    Args:
        classes: the explained classes.
        named: phrases of the attributes that are named already, in lower case (casefold).
    """
    words = choose_words(classes)
    return () if all(each.casefold() in named for each in words) else words


def choose_words(classes: Sequence[ClassErrorsExplained]) -> tuple[str, ...]:
    """Return the words of `suggest_attributes`, named already or not."""
    wrong = [first_word(each.wrong_words) for each in classes]
    words = tuple(dict.fromkeys(word for word in wrong if word))
    if len(words) >= 2:
        return words[:MOST_WORDS]
    for each, word in zip(classes, wrong, strict=True):
        other = first_word(each.right_words)
        if word and other:
            return word, other
    return ()


def first_word(findings: Sequence[WordFinding]) -> str | None:
    """Return the first word that names no class; None if there is none."""
    return next((each.word for each in findings if each.names_class is None), None)


def suggest_command(
    attributes: Sequence[str],
    cache: Path,
    config: Mapping[str, Any],
    val_fraction: float | None = None,
    words: str | Path | None = None,
) -> str | None:
    """Return the command line that calibrates as a run did, with the suggested attribute.

    The selection is the default for named attributes, unless the run had another than the default.
    The precision is that of the machine.

    Args:
        attributes: the suggested words; without any, the result is None.
        cache: path of the cache.
        config: configuration of the run; `prompts` is None for those of the cache.
        val_fraction: fraction of the training rows that the run drew as val; None if it drew none.
        words: the file that the words are of; None for those of the cache.
    """
    if not attributes:
        return None
    defaults = asdict(default_settings(False))
    settings = convert_settings(config.get("settings", {}))
    changed = {
        name: value
        for name, value in settings.items()
        if value != defaults.get(name, value) and name != "precision"
    }
    return calibrate_command(
        cache=str(cache),
        methods=config["methods"],
        varied=changed,
        fixed={},
        seeds=config["seeds"],
        hold_rows=config.get("held_rows"),
        prompts=config.get("prompts"),
        val_fraction=val_fraction,
        attribute_options=list_options(attributes, 0.0, None if words is None else Path(words)),
    )
