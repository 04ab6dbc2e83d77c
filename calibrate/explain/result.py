"""The result of an explanation."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from clip_cfr.calibrate.named.summary import SplitSummary


@dataclass(frozen=True)
class WordFinding:
    """A word that stands out in a class.

    Similarities are cosines under CLIP's own projection. `difference` is without the part of each
    similarity that lies in the directions in which the class embeddings differ, as every error lies
    on the wrong side of those.

    Attributes:
        word: the word.
        difference: mean similarity of wrong less that of right images, positive if wrong images are
            nearer to the word.
        interval: its 95 % interval, over subjects if the cache has them.
        similarity_wrong, similarity_right: mean similarities, with all their parts.
        p_value: corrected for all words and classes.
        nearest_accuracy: accuracy in the quarter of the class that is nearest to the word.
        names_class: the class whose prompts the word is close to; None if it is close to none.
    """

    word: str
    difference: float
    interval: tuple[float, float]
    similarity_wrong: float
    similarity_right: float
    p_value: float
    nearest_accuracy: float
    names_class: str | None


@dataclass(frozen=True)
class Slice:
    """A cluster of the images of a class in which the explained method is worse.

    Attributes:
        label: the class.
        images: number of images.
        errors: those that the explained method misclassifies.
        accuracies: accuracy in [0, 1] in the slice, by method of the run.
        words: words that stand out in the class, and that its images are nearer to than others.
        nearest: ids of the images nearest to the centre of the slice.
    """

    label: str
    images: int
    errors: int
    accuracies: Mapping[str, float]
    words: tuple[str, ...]
    nearest: tuple[str, ...]


@dataclass(frozen=True)
class ClassErrorsExplained:
    """The errors in a class.

    Attributes:
        label: the class.
        images: number of images.
        errors: misclassified ones.
        accuracies: accuracy in [0, 1] in the class, by method of the run.
        untested: why its words were not tested; None if they were.
        num_standing_out: number of words that stand out.
        wrong_words: words that wrong images are nearer to, the clearest first.
        right_words: words that right images are nearer to, the clearest first.
    """

    label: str
    images: int
    errors: int
    accuracies: Mapping[str, float]
    untested: str | None
    num_standing_out: int
    wrong_words: tuple[WordFinding, ...]
    right_words: tuple[WordFinding, ...]


@dataclass(frozen=True)
class NamedGroup:
    """The images of a class that words give one value to.

    Attributes:
        label: the class.
        value: the value.
        images: number of images.
        accuracies: accuracy in [0, 1] in the group, by method of the run; None without images.
    """

    label: str
    value: str
    images: int
    accuracies: Mapping[str, float | None]


@dataclass(frozen=True)
class NamedAccuracies:
    """Accuracy in the groups of one attribute that is named in words.

    Attributes:
        attribute: name of the attribute.
        margin: smallest margin of an image that got a value.
        summary: images of each value, those left out, and agreement with the true attribute, where
            the assignment of values to attributes is that of most agreement on this split.
        groups: every class x value, in the order of `label * number of values + value`.
    """

    attribute: str
    margin: float
    summary: SplitSummary
    groups: tuple[NamedGroup, ...]


@dataclass(frozen=True)
class Explanation:
    """What the images that a method misclassifies have in common.

    Attributes:
        run: the run folder.
        cache: the cache file.
        dataset: name of the data set.
        split: `train`, `val` or `test`.
        method: the explained method; `identification` or `zeroshot` on train.
        seed: the seed of its head.
        methods: all methods with predictions, in the order of the run.
        num_words: number of words tested; 0 without words.
        level: family-wise error rate of all words of all classes together.
        permutations: number of permutations of the test.
        classes: every class of the data set.
        slices: the slices, those with the most errors above the rate of their class first.
        named: accuracies in groups named in words, by attribute; empty if none is named.
        statement: whether words stand out, and the error rate of this statement, as a sentence.
        attributes: words to give to `calibrate --attribute`; empty if none are suggested, or all
            are named already.
        command: the command line that calibrates as the run did, with these words; None without.
    """

    run: str
    cache: str
    dataset: str
    split: str
    method: str
    seed: int
    methods: tuple[str, ...]
    num_words: int
    level: float
    permutations: int
    classes: tuple[ClassErrorsExplained, ...]
    slices: tuple[Slice, ...]
    named: tuple[NamedAccuracies, ...]
    statement: str
    attributes: tuple[str, ...]
    command: str | None

    def to_json(self) -> dict[str, Any]:
        """Return the explanation as JSON values."""
        return asdict(self)
