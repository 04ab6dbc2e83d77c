"""Captions for pictures of coloured digits, and which captions match which pictures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, UInt8

from clip_cfr.extract.datasets.common.digit_words import DIGIT_WORDS
from clip_cfr.extract.datasets.digits.handwritten import divide_digits, load_handwritten
from clip_cfr.extract.datasets.digits.rendering import COLOURS, render_digit
from clip_cfr.extract.prompts.templates import TEMPLATES

# Phrases and their probabilities. Most name digit and colour, so that the model learns both.
PHRASES = {
    "{colour} {digit}": 0.25,
    "digit {digit} in {colour}": 0.2,
    "digit {digit}": 0.2,
    "{digit}": 0.1,
    "number {digit}": 0.05,
    "{colour} digit": 0.15,
    "digit": 0.05,
}
# A caption is a phrase in one of these frames, or in a prompt template for class names.
PLAIN_FRAMES = (
    "{}",
    "a {}",
    "the {}",
    "a {}.",
    "the {}.",
    "a photo of a {}.",
    "a photo of the {}.",
)
PLAIN_PROBABILITY = 0.5


@dataclass(frozen=True)
class Example:
    """A picture with a caption.

    Attributes:
        pixels: RGB pixels.
        digit: word for the digit in the picture.
        colour: word for its colour.
        template: caption with placeholders `{digit}` and `{colour}`; without a placeholder, the
            caption does not mention the digit or the colour.
    """

    pixels: UInt8[np.ndarray, "32 32 3"]
    digit: str
    colour: str
    template: str

    @property
    def caption(self) -> str:
        """The template with digit and colour filled in, such as `a photo of a red three.`."""
        return self.template.format(digit=self.digit, colour=self.colour)


def draw_examples(rng: np.random.RandomState, num_examples: int) -> list[Example]:
    """Draw different training digits, each with a uniformly drawn colour and a caption.

    Raises:
        ValueError: there are fewer than `num_examples` training digits.
    """
    indices = rng.choice(divide_digits().tiny_clip, num_examples, replace=False)
    return [draw_example(rng, index) for index in indices]


def draw_example(rng: np.random.RandomState, index: int) -> Example:
    """Draw a picture and a caption of the digit with this index in scikit-learn's data.

    The colour, the rendering, the phrase and its frame are random.
    """
    inks, numbers = load_handwritten()
    colour = rng.choice(list(COLOURS))
    frame = rng.choice(PLAIN_FRAMES if rng.rand() < PLAIN_PROBABILITY else TEMPLATES["imagenet"])
    phrase = rng.choice(list(PHRASES), p=list(PHRASES.values()))
    return Example(
        pixels=render_digit(rng, inks[index], colour),
        digit=DIGIT_WORDS[numbers[index]],
        colour=colour,
        template=frame.replace("{}", phrase),
    )


def match_captions(examples: Sequence[Example]) -> Bool[np.ndarray, "pictures captions"]:
    """Return which captions are true of which pictures, for all pairs of examples.

    A caption is true of a picture if the picture has the digit and the colour that it mentions.
    """
    digits, colours = [e.digit for e in examples], [e.colour for e in examples]
    mentions_digit = ["{digit}" in e.template for e in examples]
    mentions_colour = ["{colour}" in e.template for e in examples]
    return match_values(digits, mentions_digit) & match_values(colours, mentions_colour)


def match_values(
    values: Sequence[str], is_mentioned: Sequence[bool]
) -> Bool[np.ndarray, "pictures captions"]:
    """Return whether each picture's value equals each caption's, or the caption mentions none.

    Args:
        values: value of each example, which is that of its picture and of its caption.
        is_mentioned: whether the caption of each example mentions the value.
    """
    values = np.array(values)
    return (values[:, None] == values) | ~np.array(is_mentioned)


def list_vocabulary() -> tuple[str, ...]:
    """Return strings with every word of the captions and of class names such as zero to four."""
    phrases = (phrase.format(digit="", colour="") for phrase in PHRASES)
    frames = (frame.format("") for frame in (*PLAIN_FRAMES, *TEMPLATES["imagenet"]))
    return (*frames, *phrases, *DIGIT_WORDS, *COLOURS, "from", "to")
