"""Captions for coloured digits, and which of them are true of which picture."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, UInt8

from clip_cfr.extract.datasets.common.digit_words import DIGIT_WORDS
from clip_cfr.extract.datasets.digits.handwritten import divide_digits, load_handwritten
from clip_cfr.extract.datasets.digits.rendering import COLOURS, render_digit
from clip_cfr.extract.prompts.templates import TEMPLATES

# What a caption speaks of, and how often: mostly of both, so that digit and colour are learnt.
NAMES = {
    "{colour} {digit}": 0.25,
    "digit {digit} in {colour}": 0.2,
    "digit {digit}": 0.2,
    "{digit}": 0.1,
    "number {digit}": 0.05,
    "{colour} digit": 0.15,
    "digit": 0.05,
}
# A caption puts them into plain words, or into one of the templates that class names go into.
PLAIN = ("{}", "a {}", "the {}", "a {}.", "the {}.", "a photo of a {}.", "a photo of the {}.")
PLAIN_SHARE = 0.5


@dataclass(frozen=True)
class Example:
    """A picture with a caption.

    `digit` and `colour` are words for what the picture shows; in `template`, either may still be
    to be filled in, or not be spoken of.
    """

    pixels: UInt8[np.ndarray, "32 32 3"]
    digit: str
    colour: str
    template: str

    @property
    def caption(self) -> str:
        return self.template.format(digit=self.digit, colour=self.colour)


def draw_examples(rng: np.random.RandomState, num_examples: int) -> list[Example]:
    """Examples of different digits among those for training, in colours drawn uniformly."""
    digits = rng.choice(divide_digits().tiny_clip, num_examples, replace=False)
    return [draw_example(rng, digit) for digit in digits]


def draw_example(rng: np.random.RandomState, index: int) -> Example:
    """A picture of one of scikit-learn's digits, and a caption for it."""
    inks, numbers = load_handwritten()
    colour = rng.choice(list(COLOURS))
    frame = rng.choice(PLAIN if rng.rand() < PLAIN_SHARE else TEMPLATES["imagenet"])
    name = rng.choice(list(NAMES), p=list(NAMES.values()))
    return Example(
        pixels=render_digit(rng, inks[index], colour),
        digit=DIGIT_WORDS[numbers[index]],
        colour=colour,
        template=frame.replace("{}", name),
    )


def truth(examples: Sequence[Example]) -> Bool[np.ndarray, "pictures captions"]:
    """Which captions are true of which pictures: that of a red digit is true of many."""
    of_digit = agreement([e.digit for e in examples], ["{digit}" in e.template for e in examples])
    of_colour = agreement(
        [e.colour for e in examples], ["{colour}" in e.template for e in examples]
    )
    return of_digit & of_colour


def agreement(
    values: Sequence[str], is_spoken_of: Sequence[bool]
) -> Bool[np.ndarray, "pictures captions"]:
    """Whether the value in a picture is that in a caption, or not spoken of there."""
    values = np.array(values)
    return (values[:, None] == values) | ~np.array(is_spoken_of)


def vocabulary() -> tuple[str, ...]:
    """Pieces of text that hold every word of the captions, and of ranges such as zero to four."""
    names = (name.format(digit="", colour="") for name in NAMES)
    frames = (frame.format("") for frame in (*PLAIN, *TEMPLATES["imagenet"]))
    return (*frames, *names, *DIGIT_WORDS, *COLOURS, "from", "to")
