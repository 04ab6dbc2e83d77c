import pytest

from clip_cfr.extract.manifest.manifest import Sentence
from clip_cfr.extract.prompts.expand import expand_prompts
from clip_cfr.extract.prompts.templates import TEMPLATES


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        (["dog"], ("a photo of a dog.",)),
        ([Sentence("A dog in the rain.")], ("A dog in the rain.",)),
        (["dog", Sentence("It barks.")], ("a photo of a dog.", "It barks.")),
        (["Panthera sp."], ("a photo of a Panthera sp..",)),
        (["St. Bernard"], ("a photo of a St. Bernard.",)),
        (["{dog} {}"], ("a photo of a {dog} {}.",)),
        ([], ()),
    ],
)
def test_names_are_inserted_into_templates_and_sentences_are_kept(entries, expected):
    assert expand_prompts(entries, TEMPLATES["simple"]) == expected


def test_a_name_is_inserted_into_every_template():
    assert expand_prompts(["dog", "puppy"], ["a {}.", "the {}."]) == (
        "a dog.",
        "the dog.",
        "a puppy.",
        "the puppy.",
    )


def test_a_name_is_inserted_into_all_80_templates():
    prompts = expand_prompts(["dog"], TEMPLATES["imagenet"])
    assert len(prompts) == 80
    assert prompts[35] == "a dog in a video game."
