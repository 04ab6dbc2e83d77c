import hashlib
import re

from clip_cfr.extract.prompts.templates import IMAGENET


def test_the_templates_are_the_80_published_ones():
    assert len(IMAGENET) == len(set(IMAGENET)) == 80
    assert all(re.fullmatch(r"[a-z- ]*\{\}[a-z- ]*\.", template) for template in IMAGENET)
    assert (IMAGENET[0], IMAGENET[-1]) == ("a bad photo of a {}.", "a tattoo of the {}.")
    digest = hashlib.sha256("\n".join(IMAGENET).encode()).hexdigest()
    assert digest == "4f976686fb651bb5803d4689dcd849f75efe0ef19a3c801355bc9a6f03c8a5af"


def test_the_seven_templates_selected_by_clips_authors_are_among_them():
    selected = {
        "itap of a {}.",
        "a bad photo of the {}.",
        "a origami {}.",
        "a photo of the large {}.",
        "a {} in a video game.",
        "art of the {}.",
        "a photo of the small {}.",
    }
    assert selected - set(IMAGENET) == set()
