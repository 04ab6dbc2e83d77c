"""Worst-group accuracies of a synthetic world that are known exactly, without drawing a row.

All are those of the distribution: a test split of n rows in a group deviates from them by a
standard error of sqrt(p (1 - p) / n), and the worst of several groups lies below p on average.

Optimum. No classifier has a worst-group accuracy above its accuracy on equal groups, where class
and attribute are independent: there the part of x outside the span of the class directions e says
nothing about the class, and the most accurate classifier is that of the nearest class mean,
argmax_k e_k x. Since e is orthogonal to the attribute directions and the class means form a regular
simplex, it is equally accurate in every group, so it attains the bound.

It is correct if the coordinate of the own class, s + z with s = class_signal / sqrt(2), is above
the others: p = E[Phi(z + s)^(classes - 1)], z ~ N(0, 1), and Phi(class_signal / 2) for two classes.

CLIP's head reaches it although it has no bias and normalizes: the norm of an embedding is common to
all logits, so the predicted class is argmax_k x W t_k for any W; and the class embeddings t are
linearly independent, with W = sum_k e_k e_k^T mapping each to a multiple of its e_k.
"""

from dataclasses import asdict, dataclass

import numpy as np
from scipy.stats import norm

from clip_cfr.extract.importing.synthetic.world import SyntheticWorld

# Tolerance of the integrals. Their integrands are smooth within 12 standard deviations.
PRECISION = {"lb": -12, "ub": 12, "epsabs": 1e-11, "epsrel": 1e-11, "limit": 1000}


@dataclass(frozen=True)
class WorstGroupAccuracies:
    """Exact worst-group accuracies, in [0, 1], over all pairs of a class and an attribute.

    Attributes:
        optimal: of the best classifier, see above.
        train_bayes: of the classifier that is best on the distribution of the training rows (which
            uses the attribute); None unless there are two classes and two attributes.
        zeroshot: of the class embeddings without training; None unless there are two classes.
    """

    optimal: float
    train_bayes: float | None
    zeroshot: float | None

    def to_json(self) -> dict[str, float | None]:
        """Return the accuracies by name."""
        return asdict(self)


def compute_accuracies(world: SyntheticWorld) -> WorstGroupAccuracies:
    """Return the worst-group accuracies of a world that are known exactly."""
    d, b, lean = world.class_signal, world.attribute_signal, world.text_lean
    is_binary = world.num_classes == 2
    is_square = is_binary and world.num_attributes == 2
    return WorstGroupAccuracies(
        optimal=optimal_accuracy(world.num_classes, d),
        train_bayes=train_bayes_accuracy(d, b, world.correlation) if is_square else None,
        zeroshot=zeroshot_accuracy(d, b, lean) if is_binary else None,
    )


def optimal_accuracy(num_classes: int, d: float) -> float:
    """Return the best worst-group accuracy: E[Phi(z + d / sqrt(2))^(num_classes - 1)].

    Args:
        num_classes: number of classes.
        d: distance between two class means.
    """
    s = d / np.sqrt(2)
    return float(norm.expect(lambda z: norm.cdf(z + s) ** (num_classes - 1), **PRECISION))


def train_bayes_accuracy(d: float, b: float, correlation: float) -> float:
    """Return the worst-group accuracy of the classifier that is best on the training distribution.

    Let u and v be the coordinates of x along e_1 - e_0 and f_1 - f_0, centred: N(d/2, 1) in class 1
    and N(b/2, 1) in attribute 1, with the other sign in class and attribute 0. The log odds of
    class 1 under correlation c are d u + L(v) with

        L(v) = log(c exp(b v) + 1 - c) - log((1 - c) exp(b v) + c),

    so a row of class 1 is correct with probability E[Phi(d / 2 + L(v) / d)]; class 0 is symmetric.
    Label noise below 1/2 shrinks the odds towards 1, but moves them to the other side of 1 nowhere.

    Args:
        d: distance between the class means.
        b: distance between the attribute means.
        correlation: fraction c of the training rows whose attribute is that of the class.
    """
    with np.errstate(divide="ignore"):
        agree, differ = np.log([correlation, 1 - correlation])

    def odds(v):
        return np.logaddexp(agree + b * v, differ) - np.logaddexp(differ + b * v, agree)

    def accuracy(mean: float) -> float:
        return norm.expect(lambda z: norm.cdf(d / 2 + odds(mean + z) / d), **PRECISION)

    return float(min(accuracy(b / 2), accuracy(-b / 2)))


def zeroshot_accuracy(d: float, b: float, lean: float) -> float:
    """Return the worst-group accuracy of the class embeddings e_y + lean f_a(y), of two classes.

    The difference of both logits is proportional to u + lean v with u and v as above, and in the
    worst group the means have opposite signs: Phi((d - lean b) / (2 sqrt(1 + lean^2))).

    Args:
        d: distance between the class means.
        b: distance between the attribute means.
        lean: weight of the attribute.
    """
    return float(norm.cdf((d - lean * b) / (2 * np.hypot(1, lean))))
