import pytest

from clip_cfr.extract.datasets.common.class_names import (
    find_by_spelling,
    is_wordless,
    note_spelled_out,
    spell_out,
    warn_of_similar_names,
    warn_of_wordless_names,
)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("001.Black_footed_Albatross", "Black footed Albatross"),
        ("sea_lion", "sea lion"),
        ("n02085620-Chihuahua", "Chihuahua"),
        ("n02123045_tabby_cat", "tabby cat"),
        ("01 - dog", "dog"),
        ("3) dog", "dog"),
        ("12_dog", "dog"),
        ("_dog_", "dog"),
        ("black-footed albatross", "black-footed albatross"),
        ("St. Bernard", "St. Bernard"),
        ("Panthera sp.", "Panthera sp."),
        ("U.K.", "U.K."),
        ("3D_printer", "3D printer"),
        ("737-200", "737-200"),
        ("n02123045", "n02123045"),
        ("001", "001"),
        ("_", "_"),
        ("ねこ", "ねこ"),
    ],
)
def test_spells_names_as_words(name: str, words: str):
    assert spell_out(name) == words


@pytest.mark.parametrize(
    "name",
    [
        *("0", "1.0", "-1", "007", "True", "no", "n02123045", "class_3", "class 3", "c0", "label1"),
        *("A", "___", "3f9a77c0e1"),
    ],
)
def test_names_without_words(name: str):
    assert is_wordless(name)


@pytest.mark.parametrize(
    "name", ["dog", "sea lion", "3D printer", "DC-10", "A300B4", "Zoë", "猫", "ox", "classroom"]
)
def test_names_with_words(name: str):
    assert not is_wordless(name)


@pytest.mark.parametrize(
    ("text", "index"),
    [("Dog", 0), ("dog", 1), ("DOG", None), ("sea_lion", 2), ("Sea-Lion", 2), ("sealion", None)],
)
def test_finds_a_name_by_another_spelling_if_there_is_one_only(text: str, index: int | None):
    assert find_by_spelling(text, ("Dog", "dog", "sea lion")) == index


def test_warns_of_classes_that_hardly_differ():
    names = ("Dog", "cat", "dog", "sea lion", "Sea_Lion", "C", "C++")
    assert warn_of_similar_names("mine", "classes", names) == (
        "mine: the classes 'Dog', 'dog' differ only in upper and lower case or in blanks, so CLIP "
        "hardly tells them apart; if they are the same, merge them with --class-names dog=Dog",
        "mine: the classes 'sea lion', 'Sea_Lion' differ only in upper and lower case or in "
        "blanks, so CLIP hardly tells them apart; if they are the same, merge them with "
        "--class-names 'Sea_Lion=sea lion'",
    )


def test_signs_and_marks_are_part_of_a_spelling():
    assert warn_of_similar_names("mine", "classes", ("-1", "1", "+1", "c#", "c", "_c")) == (
        "mine: the classes 'c', '_c' differ only in upper and lower case or in blanks, so CLIP "
        "hardly tells them apart; if they are the same, merge them with --class-names _c=c",
    )


def test_warns_of_names_without_words_and_says_what_to_do():
    entries = [("0",), ("cat",), ("n02123045", "2")]
    assert warn_of_wordless_names("mine", ("0", "cat", "2"), entries) == (
        "mine: the class names '0', '2' do not describe images, so CLIP's text tower "
        "learns nothing from them; name the classes with --class-names 0=...,2=..., or give "
        "--prompts",
    )
    assert warn_of_wordless_names("mine", ("0", "1"), [("dog",), ("1", "cat")]) == ()


def test_notes_the_names_that_prompts_spell_otherwise():
    names = ("001.Snow_Owl", "fox", *(f"a_{letter * 2}" for letter in "abcdef"))
    assert note_spelled_out("mine", names) == (
        "mine: prompts spell '001.Snow_Owl' as 'Snow Owl', 'a_aa' as 'a aa', 'a_bb' as 'a bb', "
        "'a_cc' as 'a cc', 'a_dd' as 'a dd' and 2 more; for other words, give --class-names or "
        "--prompts",
    )
    assert note_spelled_out("mine", ("fox", "owl")) == ()
