"""The parameters of synthetic features, each with its default, range and help text."""

from dataclasses import Field, asdict, dataclass, field, fields
from typing import Any

from clip_cfr.cache.format.schema import SPLIT_NAMES
from clip_cfr.extract.datasets.common.options import flag
from clip_cfr.extract.errors import OptionError

# Rows of a split, and columns of the features; a head is a matrix (dim, dim).
MAX_ROWS, MAX_DIM = 1_000_000, 16_384
MAX_SIGNAL = 20.0


def parameter(default: Any, low: float, high: float, text: str) -> Any:
    """Return a field of `SyntheticWorld` with the bounds (both included) and the help text."""
    return field(default=default, metadata={"low": low, "high": high, "help": text})


@dataclass(frozen=True)
class SyntheticWorld:
    """Parameters of synthetic features; the help of each field says what it is.

    `draw_synthetic` gives the formula of the features. Signals are distances between two means, in
    standard deviations of the noise. The attribute that goes with class y is y modulo
    `num_attributes`. A correlation of None is 1 / `num_attributes`: equal groups.

    Raises:
        OptionError: a value is of the wrong type or out of range, or does not go with the others.
    """

    num_classes: int = parameter(2, 2, 100, "Number of classes.")
    num_attributes: int = parameter(2, 2, 100, "Number of values of the spurious attribute.")
    correlation: float = parameter(
        0.95,
        0,
        1,
        "Fraction of the training rows of each class that have the attribute value of their class.",
    )
    val_correlation: float | None = parameter(None, 0, 1, "The same fraction in val.")
    test_correlation: float | None = parameter(None, 0, 1, "The same fraction in test.")
    dim: int = parameter(256, 4, MAX_DIM, "Number of columns of the features.")
    class_signal: float = parameter(
        3.0,
        0.1,
        MAX_SIGNAL,
        "Distance between the means of two classes, in standard deviations of the noise.",
    )
    attribute_signal: float = parameter(
        4.0,
        0,
        MAX_SIGNAL,
        "Distance between the means of two attribute values, in standard deviations of the noise.",
    )
    text_lean: float = parameter(
        0.5,
        0,
        100,
        "Weight of the attribute in the class embeddings, beside weight 1 of the class.",
    )
    label_noise: float = parameter(
        0.0, 0, 1, "Fraction of the training rows with a wrong label, below 1 - 1 / classes."
    )
    train_rows: int = parameter(5000, 2, MAX_ROWS, "Number of training rows.")
    val_rows: int = parameter(1000, 2, MAX_ROWS, "Number of rows of val.")
    test_rows: int = parameter(5000, 2, MAX_ROWS, "Number of rows of test.")
    seed: int = parameter(0, 0, 2**32 - 1, "Seed of the features.")

    def __post_init__(self):
        for each in fields(self):
            check_parameter(each, getattr(self, each.name))
        check_combination(self)

    @property
    def rows(self) -> tuple[int, int, int]:
        """Numbers of rows of train, val and test."""
        return self.train_rows, self.val_rows, self.test_rows

    @property
    def correlations(self) -> tuple[float, float, float]:
        """Correlations of train, val and test; None is replaced by 1 / `num_attributes`."""
        given = (self.correlation, self.val_correlation, self.test_correlation)
        return tuple(1 / self.num_attributes if each is None else each for each in given)

    def to_json(self) -> dict[str, float]:
        """Return the parameters by name, with both correlations that may be None as numbers."""
        _, val, test = self.correlations
        return {**asdict(self), "val_correlation": val, "test_correlation": test}


def check_parameter(each: Field, value: Any) -> None:
    """Raise OptionError unless the value of a field has its type and is in its range."""
    if value is None and each.default is None:
        return
    is_whole = isinstance(each.default, int)
    is_number = isinstance(value, int if is_whole else (int, float)) and value is not True
    low, high = each.metadata["low"], each.metadata["high"]
    if is_number and value is not False and low <= value <= high:
        return
    noun = "a whole number" if is_whole else "a number"
    raise OptionError(
        f"{flag(each.name)} is {value!r}, expected {noun} from {low:g} to {high:,.15g}"
    )


def check_combination(world: SyntheticWorld) -> None:
    """Raise OptionError if parameters that are in range do not go together."""
    needed = world.num_classes + world.num_attributes
    if world.dim < needed:
        raise OptionError(
            f"--dim is {world.dim}, expected at least {needed}: a direction for each of "
            f"{world.num_classes} classes and {world.num_attributes} attributes"
        )
    for split, rows in zip(SPLIT_NAMES, world.rows, strict=True):
        if rows < world.num_classes:
            raise OptionError(
                f"--{split}-rows is {rows}, expected at least {world.num_classes}, one for each "
                "class"
            )
    limit = 1 - 1 / world.num_classes
    if world.label_noise >= limit:
        raise OptionError(
            f"--label-noise is {world.label_noise:g}, expected less than {limit:g}: with "
            f"{world.num_classes} classes such labels say nothing about the class"
        )
