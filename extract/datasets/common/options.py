"""Options of data sets, and the check that a data set supports those that are set."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from clip_cfr.extract.errors import OptionError

# Supported by every data set: `load_dataset` applies them to the manifest of any loader.
COMMON_OPTIONS = ("class_names", "prompts", "val_fraction")
# Not an option of a data set, but set along with the options of the extraction.
INTERNAL = ("skip_missing",)


@dataclass(frozen=True)
class DatasetOptions:
    """Options of data sets. None selects the default of the data set.

    Attributes:
        metadata: list of the images (CSV, JSON Lines, Parquet, .xlsx), instead of the one under
            the root; a relative path may also be relative to the root.
        columns: column of the list by its role (filename, label, attribute, split, subject), where
            its name does not tell; an empty name says that there is no such column.
        drop_missing: leave out rows of the list with a missing value, instead of an error.
        ignore_splits: values in the column of splits whose rows are left out.
        val_fraction: fraction of the training rows that is drawn as val, if there is none.
        class_names: names of the classes, in the order of the labels; or new names by old ones.
            Classes with equal new names are merged.
        prompts: JSON file with prompt entries of classes and attributes (see
            `overrides.read_prompts`).
        target, spurious: CelebA's attributes that are the label and the spurious attribute.
        split_by: CheXpert's `patient` or `image`; of a list, the column whose values, such as
            patients or locations, drawn splits do not share.
        protocol: Colored MNIST's `subpopbench` or `five-class`.
        seed: seed of splits and pictures that are drawn at random.
        skip_missing: keep the rows of missing files as not valid, instead of an error.
    """

    metadata: Path | None = None
    columns: Mapping[str, str] | None = None
    drop_missing: bool | None = None
    ignore_splits: tuple[str, ...] | None = None
    val_fraction: float | None = None
    class_names: tuple[str, ...] | Mapping[str, str] | None = None
    prompts: Path | None = None
    target: str | None = None
    spurious: str | None = None
    split_by: str | None = None
    protocol: str | None = None
    seed: int | None = None
    skip_missing: bool = False


def check_supported(dataset: str, supported: Collection[str], options: DatasetOptions) -> None:
    """Raise OptionError if an option is set that the data set does not support.

    Args:
        dataset: name of the data set.
        supported: options of the data set, in addition to COMMON_OPTIONS.
        options: the options that are set.
    """
    supported = (*supported, *COMMON_OPTIONS)
    for field in fields(options):
        is_set = field.name not in INTERNAL and getattr(options, field.name) is not None
        if is_set and field.name not in supported:
            raise OptionError(
                f"{dataset} has no option {flag(field.name)}; "
                f"its options are {', '.join(flag(name) for name in supported)}"
            )


def resolve_choice(option: str, value: str | None, choices: tuple[str, ...]) -> str:
    """Return the value of an option, or the first choice if the value is None.

    Args:
        option: name of the option, such as `split_by`, for the message.
        value: its value.
        choices: allowed values, the default first.

    Raises:
        OptionError: the value is not one of the choices.
    """
    if value is None:
        return choices[0]
    if value not in choices:
        raise OptionError(f"{flag(option)} is {value!r}, expected {' or '.join(choices)}")
    return value


def flag(option: str) -> str:
    """Return an option as it is typed on the command line: `--split-by` for `split_by`."""
    return "--" + option.replace("_", "-")
