"""English phrases for CelebA's forty attributes.

Each attribute has two phrases that complete "a photo of a celebrity ...": for its absence and for
its presence.
"""

from clip_cfr.extract.datasets.tables.roles import simplify
from clip_cfr.extract.manifest.manifest import Sentence

PHRASES = {
    "5_o_Clock_Shadow": ("without stubble", "with stubble"),
    "Arched_Eyebrows": ("without arched eyebrows", "with arched eyebrows"),
    "Attractive": ("who is not attractive", "who is attractive"),
    "Bags_Under_Eyes": ("without bags under the eyes", "with bags under the eyes"),
    "Bald": ("who is not bald", "who is bald"),
    "Bangs": ("without bangs", "with bangs"),
    "Big_Lips": ("without big lips", "with big lips"),
    "Big_Nose": ("without a big nose", "with a big nose"),
    "Black_Hair": ("without black hair", "with black hair"),
    "Blond_Hair": ("with dark hair", "with blond hair"),
    "Blurry": ("in a sharp picture", "in a blurry picture"),
    "Brown_Hair": ("without brown hair", "with brown hair"),
    "Bushy_Eyebrows": ("without bushy eyebrows", "with bushy eyebrows"),
    "Chubby": ("who is not chubby", "who is chubby"),
    "Double_Chin": ("without a double chin", "with a double chin"),
    "Eyeglasses": ("without eyeglasses", "with eyeglasses"),
    "Goatee": ("without a goatee", "with a goatee"),
    "Gray_Hair": ("without gray hair", "with gray hair"),
    "Heavy_Makeup": ("without heavy makeup", "with heavy makeup"),
    "High_Cheekbones": ("without high cheekbones", "with high cheekbones"),
    "Male": ("who is a woman", "who is a man"),
    "Mouth_Slightly_Open": ("with a closed mouth", "with a slightly open mouth"),
    "Mustache": ("without a mustache", "with a mustache"),
    "Narrow_Eyes": ("without narrow eyes", "with narrow eyes"),
    "No_Beard": ("with a beard", "without a beard"),
    "Oval_Face": ("without an oval face", "with an oval face"),
    "Pale_Skin": ("without pale skin", "with pale skin"),
    "Pointy_Nose": ("without a pointy nose", "with a pointy nose"),
    "Receding_Hairline": ("without a receding hairline", "with a receding hairline"),
    "Rosy_Cheeks": ("without rosy cheeks", "with rosy cheeks"),
    "Sideburns": ("without sideburns", "with sideburns"),
    "Smiling": ("who is not smiling", "who is smiling"),
    "Straight_Hair": ("without straight hair", "with straight hair"),
    "Wavy_Hair": ("without wavy hair", "with wavy hair"),
    "Wearing_Earrings": ("without earrings", "with earrings"),
    "Wearing_Hat": ("without a hat", "with a hat"),
    "Wearing_Lipstick": ("without lipstick", "with lipstick"),
    "Wearing_Necklace": ("without a necklace", "with a necklace"),
    "Wearing_Necktie": ("without a necktie", "with a necktie"),
    "Young": ("who is old", "who is young"),
}


def find_attribute(name: str) -> str | None:
    """Return CelebA's name of an attribute: `Blond_Hair` for `blond hair`; None if it is unknown.

    Case and separators do not matter.
    """
    return next((each for each in PHRASES if simplify(each) == simplify(name)), None)


def make_names(attribute: str) -> tuple[str, str]:
    """Return names for the absence and presence of an attribute.

    These are `dark hair` and `blond hair` for `Blond_Hair`, `without a hat` and `a hat` for
    `Wearing_Hat`.

    Args:
        attribute: a key of PHRASES.
    """
    absent, present = (
        phrase.removeprefix("with ").removeprefix("who is ") for phrase in PHRASES[attribute]
    )
    return absent, present


def make_prompts(attribute: str) -> tuple[tuple[Sentence], tuple[Sentence]]:
    """Return the prompt entries for the absence and for the presence of an attribute.

    Each is one sentence, such as `a photo of a celebrity with dark hair.`.

    Args:
        attribute: a key of PHRASES.
    """
    absent, present = (
        (Sentence(f"a photo of a celebrity {phrase}."),) for phrase in PHRASES[attribute]
    )
    return absent, present
