"""Words that the misclassified images of a class have in common."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int
from scipy.stats import t as student_t

from clip_cfr.cache.format.schema import Texts
from clip_cfr.cache.runs.apply_head import normalize
from clip_cfr.cache.words.words import Words
from clip_cfr.calibrate.explain.images import Images
from clip_cfr.calibrate.explain.permutations import ClassErrors, family_wise_p_values
from clip_cfr.calibrate.explain.result import WordFinding

# Family-wise error rate.
LEVEL = 0.05
# Fewer wrong, or fewer right, images than this are not tested.
FEW = 5
# Classes that a class is mistaken for, whose directions are removed.
MISTAKEN_FOR = 10
# Cosine of a word with a class prompt, both less the mean of all words and prompts.
NAMES_CLASS = 0.6
NEAREST_SHARE = 0.25
# A direction shorter than this, relative to the longest, is rounding.
RANK_TOLERANCE = 1e-4


@dataclass(frozen=True)
class ComparedWords:
    """The words of a class with the result of their test.

    Attributes:
        label: the class index.
        errors: its images and the directions of the words.
        p_values: corrected for all words and classes.
    """

    label: int
    errors: ClassErrors
    p_values: Float[np.ndarray, " words"]

    @property
    def stands_out(self) -> Bool[np.ndarray, " words"]:
        """Whether each word stands out."""
        return self.p_values <= LEVEL


def why_untested(wrong: Bool[np.ndarray, " n"]) -> str | None:
    """Return why the words of a class are not tested; None if there are enough images for it."""
    errors = np.count_nonzero(wrong)
    if not len(wrong):
        return "no images"
    if not errors:
        return "no errors"
    if errors < FEW:
        return f"fewer than {FEW} errors"
    return f"fewer than {FEW} right images" if len(wrong) - errors < FEW else None


def compare_words(
    rng: np.random.Generator, images: Images, method: str, texts: Texts, words: Words
) -> list[ComparedWords]:
    """Test all words in every class with enough errors; classes without are left out.

    Args:
        rng: draws the permutations.
        images: the images of all classes.
        method: the method whose errors are explained.
        texts: names and embeddings of the classes.
        words: the words.
    """
    labels = [
        label
        for label in range(len(texts.class_names))
        if why_untested(images.wrong(method)[images.labels == label]) is None
    ]
    if not labels:
        return []
    classes = [class_errors(images, method, texts, words, label) for label in labels]
    p_values = family_wise_p_values(rng, classes)
    return [ComparedWords(*each) for each in zip(labels, classes, p_values, strict=True)]


def class_errors(
    images: Images, method: str, texts: Texts, words: Words, label: int
) -> ClassErrors:
    """Return the images of a class, and the words without the directions of its mistakes."""
    rows = images.labels == label
    mistaken_for = most_frequent(images.predicted[method][rows & images.wrong(method)])
    basis = class_directions(texts.class_embeddings, label, mistaken_for)
    return ClassErrors(
        wrong=images.wrong(method)[rows],
        embeddings=images.embeddings[rows],
        directions=words.embeddings - words.embeddings @ basis.T @ basis,
        subjects=None if images.subjects is None else images.subjects[rows],
    )


def most_frequent(predicted: Int[np.ndarray, " errors"]) -> Int[np.ndarray, " classes"]:
    """Return the classes that are predicted most often, at most `MISTAKEN_FOR`."""
    found, counts = np.unique(predicted, return_counts=True)
    return found[np.argsort(-counts, kind="stable")[:MISTAKEN_FOR]]


def class_directions(
    class_embeddings: Float32[np.ndarray, "classes embedding"],
    label: int,
    others: Int[np.ndarray, " others"],
) -> Float32[np.ndarray, "directions embedding"]:
    """Return an orthonormal basis of the differences between a class embedding and others."""
    differences = class_embeddings[others] - class_embeddings[label]
    _, lengths, basis = np.linalg.svd(differences, full_matrices=False)
    return basis[lengths > RANK_TOLERANCE * max(lengths[0], RANK_TOLERANCE)]


def find_named_classes(words: Words, texts: Texts) -> Int[np.ndarray, " words"]:
    """Return for each word the index of the class that it names; -1 if it names none.

    A word names a class if it is the class name, or close to one of the prompts of the class. Their
    cosine is that of the embeddings less the mean of all words and prompts.
    """
    prompts, owners = texts.class_embeddings, np.arange(len(texts.class_names))
    if texts.class_prompts:
        prompts = texts.class_prompt_embeddings
        owners = np.repeat(owners, [len(each) for each in texts.class_prompts])
    mean = np.concatenate([words.embeddings, prompts]).mean(axis=0)
    cosines = normalize(words.embeddings - mean) @ normalize(prompts - mean).T
    named = np.where(cosines.max(axis=1) >= NAMES_CLASS, owners[cosines.argmax(axis=1)], -1)
    names = {name.casefold(): index for index, name in enumerate(texts.class_names)}
    return np.array(
        [names.get(w.casefold(), found) for w, found in zip(words.words, named, strict=True)]
    )


def rank_words(tested: ComparedWords, sign: int) -> Int[np.ndarray, " words"]:
    """Return the words that stand out in one direction, the largest difference first.

    Args:
        tested: the class.
        sign: 1 for words that wrong images are nearer to, -1 for those of right images.
    """
    differences = sign * tested.errors.differences(tested.errors.wrong)
    order = np.argsort(-differences, kind="stable")
    return order[(tested.stands_out & (differences > 0))[order]]


def describe_words(
    tested: ComparedWords, words: Words, sign: int, names: Sequence[str | None], top: int
) -> tuple[WordFinding, ...]:
    """Return the findings of the first words of a class that stand out in one direction.

    Args:
        tested: the class.
        words: all words.
        sign: as in `rank_words`.
        names: for each of all words the class that it names, or None.
        top: most words to describe.
    """
    ranked = rank_words(tested, sign)[:top].tolist()
    return tuple(describe_word(tested, words, index, names[index]) for index in ranked)


def describe_word(
    tested: ComparedWords, words: Words, index: int, names_class: str | None
) -> WordFinding:
    """Return the finding of one word of a class."""
    errors = tested.errors
    wrong = errors.wrong
    similarities = (errors.embeddings @ errors.directions[index]).astype(np.float64)
    cosines = errors.embeddings @ words.embeddings[index]
    nearest = np.argsort(-similarities, kind="stable")[: max(1, int(NEAREST_SHARE * len(wrong)))]
    return WordFinding(
        word=words.words[index],
        difference=float(similarities[wrong].mean() - similarities[~wrong].mean()),
        interval=difference_interval(similarities, wrong, errors.subjects),
        similarity_wrong=float(cosines[wrong].mean()),
        similarity_right=float(cosines[~wrong].mean()),
        p_value=float(tested.p_values[index]),
        nearest_accuracy=float(1 - wrong[nearest].mean()),
        names_class=names_class,
    )


def difference_interval(
    values: Float[np.ndarray, " n"],
    wrong: Bool[np.ndarray, " n"],
    subjects: Int[np.ndarray, " n"] | None,
) -> tuple[float, float]:
    """Return the 95 % t interval of the difference in means between wrong and right images.

    The variance is that of the sums over subjects of the influences of their images. The degrees of
    freedom are those of the smaller side.

    Args:
        values: a number for each image.
        wrong: whether it is misclassified; at least two are, and two are not.
        subjects: number of each image's subject; None if all images are independent.
    """
    sides = (wrong, ~wrong)
    means = [values[side].mean() for side in sides]
    influences = (values - np.where(wrong, *means)) * np.where(
        wrong, 1 / wrong.sum(), -1 / (~wrong).sum()
    )
    units = np.arange(len(values)) if subjects is None else subjects
    _, inverse = np.unique(units, return_inverse=True)
    smaller = min(len(np.unique(units[side])) for side in sides)
    sums = np.bincount(inverse, influences)
    half = student_t.ppf(0.975, max(smaller - 1, 1)) * np.sqrt(
        (sums**2).sum() * smaller / max(smaller - 1, 1)
    )
    difference = means[0] - means[1]
    return float(difference - half), float(difference + half)
