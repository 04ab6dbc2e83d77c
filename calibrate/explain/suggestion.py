"""Words that suggest an attribute, for `calibrate --attribute`."""

import shlex
from collections.abc import Collection, Sequence

from clip_cfr.cache.console import program_name
from clip_cfr.calibrate.explain.result import ClassErrorsExplained, Explanation, WordFinding

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


def suggested_command(explanation: Explanation) -> str | None:
    """Return the command line that calibrates with the suggested attribute; None without one."""
    if not explanation.attributes:
        return None
    options = [part for word in explanation.attributes for part in ("--attribute", word)]
    words = ["calibrate", "--cache", explanation.cache, *options]
    return f"{program_name()} {shlex.join(words)}"
