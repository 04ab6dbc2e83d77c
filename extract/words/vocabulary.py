"""Read lists of words."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clip_cfr.extract.errors import ExtractError, OptionError

DEFAULT_PATH = Path(__file__).with_name("default_vocabulary.txt")
# For a word of each of them, and between them for most phrases, the sentence is a natural caption.
DEFAULT_TEMPLATES = ("{}", "a photo of {}")
COMMENT = "#"
UTF8 = "save the file as UTF-8, with one word a line"
SHOWN = 5


@dataclass(frozen=True)
class Entry:
    """A word or phrase of a list.

    Attributes:
        word: the word, without white space at its ends and with single spaces inside.
        origin: where it is from, such as `words.txt, line 3`, for messages.
    """

    word: str
    origin: str


def read_vocabulary(path: Path) -> tuple[str, ...]:
    """Return the words of a text file in UTF-8: a word, phrase or sentence in each line.

    Empty lines, and lines that begin with `#`, are skipped.

    Raises:
        ExtractError: the file cannot be read, is not UTF-8, or has no or equal words.
    """
    lines = enumerate(read_lines(path), start=1)
    entries = [Entry(clean(line), f"line {number}") for number, line in lines]
    found = [each for each in entries if each.word and not each.word.startswith(COMMENT)]
    return check_entries(found, str(path))


def read_default_vocabulary() -> tuple[str, ...]:
    """Return the words of the vocabulary that this package includes, in English."""
    return read_vocabulary(DEFAULT_PATH)


def load_words(words: Sequence[str] | str | Path | None) -> tuple[str, ...]:
    """Return words from a sequence or a file, by default the vocabulary of this package.

    Raises:
        OptionError, ExtractError: as in `check_words` and `read_vocabulary`.
    """
    if words is None:
        return read_default_vocabulary()
    return read_vocabulary(Path(words)) if isinstance(words, str | Path) else check_words(words)


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file in UTF-8, with or without a byte order mark.

    Raises:
        ExtractError: the file cannot be read or is not UTF-8.
    """
    if path.is_dir():
        raise ExtractError(f"{path}: expected a text file with a word in each line, found a folder")
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise ExtractError(f"{path}: no such file; write one with a word in each line") from error
    except OSError as error:
        raise ExtractError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        return content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ExtractError(
            f"{path}, line {line}: expected UTF-8, found the byte {content[error.start]:#04x}; "
            f"{UTF8}"
        ) from error


def check_words(words: Sequence[str]) -> tuple[str, ...]:
    """Return words given one by one, with white space cleaned.

    Raises:
        OptionError: a word is empty.
        ExtractError: there are no words, or equal ones.
    """
    entries = [Entry(clean(word), f"word {row}") for row, word in enumerate(words, start=1)]
    if empty := next((each.origin for each in entries if not each.word), None):
        raise OptionError(f"--word: {empty} is empty; give a word or phrase")
    return check_entries(entries, "--word")


def check_entries(entries: Sequence[Entry], source: str) -> tuple[str, ...]:
    """Return the words of entries, after checking that there are some, and none twice.

    Words that differ in case alone are equal, because most text towers ignore case.

    Args:
        entries: the cleaned words.
        source: file or option, for the message.

    Raises:
        ExtractError: there is no word, two are equal, or one has a character that cannot be stored.
    """
    if not entries:
        raise ExtractError(f"{source}: there are no words; give at least one, one in each line")
    check_storable(entries, source)
    first: dict[str, Entry] = {}
    pairs = []
    for entry in entries:
        known = first.setdefault(entry.word.casefold(), entry)
        if known is not entry:
            pairs.append(f"{entry.word!r} in {known.origin} and {entry.origin}")
    if pairs:
        more = f" and {len(pairs) - SHOWN} more" if len(pairs) > SHOWN else ""
        raise ExtractError(
            f"{source}: words must differ in more than case, found {', '.join(pairs[:SHOWN])}"
            f"{more}; keep one of each"
        )
    return tuple(each.word for each in entries)


def check_storable(entries: Sequence[Entry], source: str) -> None:
    """Raise ExtractError if a word has a NUL character or a lone surrogate."""
    for entry in entries:
        if "\0" in entry.word or any("\ud800" <= each <= "\udfff" for each in entry.word):
            raise ExtractError(
                f"{source}, {entry.origin}: {entry.word!r} has a character that is not text; "
                "remove it"
            )


def check_templates(templates: Sequence[str]) -> tuple[str, ...]:
    """Return templates after checking them.

    Raises:
        OptionError: there are none, one lacks the placeholder `{}`, or two are equal.
    """
    for template in templates:
        if "{}" not in template:
            raise OptionError(
                f"--template {template!r} lacks the placeholder {{}} for the word, as in "
                "'a photo of {}'"
            )
    if not templates or len(set(templates)) < len(templates):
        raise OptionError("--template: give at least one, and each only once")
    return tuple(templates)


def clean(word: str) -> str:
    """Return a word without white space at its ends, and with single spaces inside."""
    return " ".join(word.split())
