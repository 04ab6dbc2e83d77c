"""What a user may choose about a data set, and the refusal of what the data set does not know."""

from collections.abc import Collection
from dataclasses import dataclass, fields
from pathlib import Path

from clip_cfr.extract.errors import OptionError

# Names and prompts are put over whatever a loader returns, so every data set takes them.
COMMON = ("class_names", "prompts")


@dataclass(frozen=True)
class DatasetOptions:
    """The choices of the command line; None means not given, and the data set's own default.

    Attributes:
        metadata: CSV file that lists the images, instead of the one looked for under the root.
        class_names: names of the classes in the order of their numbers.
        prompts: JSON file of entries for classes and attributes (see `names.read_prompts`).
        target, spurious: CelebA's attributes that are the label and the spurious attribute.
        split_by: CheXpert's `patient` or `image`.
        protocol: Colored MNIST's `subpopbench` or `five-class`.
        seed: for what a loader draws at random.
    """

    metadata: Path | None = None
    class_names: tuple[str, ...] | None = None
    prompts: Path | None = None
    target: str | None = None
    spurious: str | None = None
    split_by: str | None = None
    protocol: str | None = None
    seed: int | None = None


def refuse_unknown(dataset: str, known: Collection[str], options: DatasetOptions) -> None:
    """Raises OptionError where an option was given that is neither in `known` nor in COMMON."""
    known = (*known, *COMMON)
    for field in fields(options):
        if field.name not in known and getattr(options, field.name) is not None:
            raise OptionError(
                f"{dataset} has no option {flag(field.name)}; "
                f"its options are {', '.join(flag(name) for name in known)}"
            )


def chosen(option: str, value: str | None, choices: tuple[str, ...]) -> str:
    """The value, or the first choice where none was given.

    Raises:
        OptionError: the value is none of the choices.
    """
    if value is None:
        return choices[0]
    if value not in choices:
        raise OptionError(f"{flag(option)} is {value!r}, expected {' or '.join(choices)}")
    return value


def flag(name: str) -> str:
    """An option as it is typed."""
    return "--" + name.replace("_", "-")
