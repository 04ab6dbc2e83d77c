"""Lists of words: reading, errors, and the vocabulary of the package."""

import re
from pathlib import Path

import pytest

import clip_cfr
from clip_cfr.extract.errors import ExtractError, OptionError
from clip_cfr.extract.words.vocabulary import (
    DEFAULT_TEMPLATES,
    check_templates,
    load_words,
    read_vocabulary,
)

DEFAULT = Path(clip_cfr.__path__[0]) / "extract" / "words" / "default_vocabulary.txt"
OFFENSIVE = (
    "sexy ugly stupid idiot slave nude naked porn savage primitive gypsy retarded whore slut"
)


def test_comments_and_blank_lines_are_skipped_and_spaces_cleaned(tmp_path):
    path = tmp_path / "words.txt"
    path.write_bytes("\ufeff# places\r\n\r\n on   water \r\nA dog.\r\n  # end\r\né".encode())
    assert read_vocabulary(path) == ("on water", "A dog.", "é")
    assert load_words(path) == load_words(["on water", " A  dog.", "é"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"# nothing\n\n", ": there are no words; give at least one, one in each line"),
        (
            b"dog\ncat\n Dog\n",
            ": words must differ in more than case, found 'Dog' in line 1 and line 3; keep one of "
            "each",
        ),
        (
            b"dog\nf\xfcr\n",
            ", line 2: expected UTF-8, found the byte 0xfc; save the file as UTF-8, with one word "
            "a line",
        ),
        (b"dog\na\0b\n", r", line 2: 'a\x00b' has a character that is not text; remove it"),
    ],
)
def test_a_damaged_list_is_an_error(tmp_path, content, message):
    path = tmp_path / "words.txt"
    path.write_bytes(content)
    with pytest.raises(ExtractError) as caught:
        read_vocabulary(path)
    assert str(caught.value) == f"{path}{message}"


def test_a_missing_list_or_a_folder_is_an_error(tmp_path):
    with pytest.raises(ExtractError, match="no such file; write one with a word in each line"):
        read_vocabulary(tmp_path / "missing.txt")
    with pytest.raises(ExtractError, match=r"expected a text file .* found a folder"):
        read_vocabulary(tmp_path)


def test_words_on_the_command_line_are_checked():
    with pytest.raises(ExtractError, match="found 'A' in word 1 and word 2; keep one of each"):
        load_words(["a", "A"])
    with pytest.raises(OptionError, match="--word: word 2 is empty"):
        load_words(["a", " "])


def test_templates_need_the_placeholder_and_differ():
    with pytest.raises(OptionError, match=r"--template 'a photo' lacks the placeholder \{\}"):
        check_templates(["{}", "a photo"])
    for templates in ([], ["{}", "{}"]):
        with pytest.raises(OptionError, match="--template: give at least one"):
            check_templates(templates)


def test_the_default_vocabulary_is_long_plain_and_without_duplicates():
    words = read_vocabulary(DEFAULT)
    assert 1000 <= len(words) <= 2000
    assert [word for word in words if not re.fullmatch(r"[A-Za-z0-9' -]+", word)] == []
    used = {each.casefold() for word in words for each in re.findall(r"\w+", word)}
    assert used & set(OFFENSIVE.split()) == set()


def test_the_default_vocabulary_fits_a_context_of_77_characters():
    # No tokenizer makes more tokens than characters; the start and the end need one each.
    longest = max(read_vocabulary(DEFAULT), key=len)
    assert max(len(each.replace("{}", longest)) for each in DEFAULT_TEMPLATES) <= 77 - 2
