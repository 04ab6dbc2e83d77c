"""Display names of methods and metrics, and accuracies and settings as text."""

from collections.abc import Mapping

from clip_cfr.calibrate.core.settings import Value
from clip_cfr.calibrate.methods import METHOD_TITLES

# Which training rows the seeds have, without and with the setting `resample`.
TRAINING_ROWS = {False: "the same for all seeds", True: "drawn anew for each seed"}
# A "zero-shot" head whose class embeddings are class means has seen the training labels.
CLASS_MEANS_TITLE = "class means"


def method_title(name: str, class_embeddings: str) -> str:
    """Return the title of a method's column, such as `zero-shot`, or its own name.

    Zero-shot with class means of the training images is `class means`.

    Args:
        name: the method.
        class_embeddings: source of the class embeddings: `prompts`, `class means` or `imported`.
    """
    if name == "zeroshot" and class_embeddings == CLASS_MEANS_TITLE:
        return CLASS_MEANS_TITLE
    return METHOD_TITLES.get(name, name)


def seeds_title(count: int, resample: bool) -> list[str]:
    """Return the line of a table's title on its seeds; none for one seed without `resample`.

    For example, `mean ± standard deviation over 5 seeds; training rows drawn anew for each seed`.

    Args:
        count: number of seeds.
        resample: the setting.
    """
    over = [f"mean ± standard deviation over {count} seeds"] if count > 1 else []
    rows = [f"training rows {TRAINING_ROWS[resample]}"] if resample else []
    return ["; ".join(over + rows)] if over + rows else []


def format_per_cent(value: float | None, std: float | None = None) -> str:
    """Return a fraction in per cent with one decimal: `88.2`, with `std` `88.2 ± 0.4`.

    If the value is None, return `-`.
    """
    if value is None:
        return "-"
    return f"{100 * value:.1f}" + ("" if std is None else f" ± {100 * std:.1f}")


def format_settings(values: Mapping[str, Value]) -> str:
    """Return settings and their values as text: `lr 0.001, positive dps`; empty without any."""
    return ", ".join(f"{name} {format_value(value)}" for name, value in values.items())


def format_value(value: Value) -> str:
    """Return a value as text: a float with four significant digits, others in lower case.

    For example, 0.0001 gives `0.0001`, True `true` and None `none`.
    """
    return f"{value:.4g}" if isinstance(value, float) else str(value).lower()
