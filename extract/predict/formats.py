"""Predictions as lines of text: a table, CSV or JSON Lines."""

import csv
import io
import json
from collections.abc import Iterable, Iterator

from rich.cells import cell_len

from clip_cfr.extract.predict.classifier import Prediction

COLUMNS = ("image", "class", "probability", "margin", "error")
FORMATS = ("table", "csv", "jsonl")


def render(
    predictions: Iterable[Prediction], form: str, class_names: Iterable[str]
) -> Iterator[str]:
    """Yield the lines of predictions, without line feeds at their ends, as they are computed.

    Args:
        predictions: the predictions.
        form: one of `FORMATS`.
        class_names: names of the classes, whose longest is the width of a column of the table.
    """
    if form == "jsonl":
        return map(json_line, predictions)
    if form == "csv":
        return csv_lines(predictions)
    return table_lines(predictions, max(map(cell_len, ("class", *class_names))))


def to_values(prediction: Prediction) -> dict[str, str | float | None]:
    """Return a prediction by the names of `COLUMNS`, with six significant digits."""
    numbers = (prediction.probability, prediction.margin)
    rounded = (None if each is None else float(f"{each:.6g}") for each in numbers)
    values = (prediction.image, prediction.label, *rounded, prediction.error)
    return dict(zip(COLUMNS, values, strict=True))


def json_line(prediction: Prediction) -> str:
    """Return a prediction as a JSON object in one line; class and error are null if empty."""
    values = to_values(prediction)
    return json.dumps(values | {name: values[name] or None for name in ("class", "error")})


def csv_lines(predictions: Iterable[Prediction]) -> Iterator[str]:
    """Yield a header and a row for each prediction, as CSV; missing numbers are empty."""
    yield csv_line(COLUMNS)
    for prediction in predictions:
        yield csv_line(to_values(prediction).values())


def csv_line(values: Iterable) -> str:
    """Return values as one row of CSV, without a line feed at its end."""
    text = io.StringIO()
    # The writer quotes only line ends that are part of its own.
    csv.writer(text, lineterminator="\r\n").writerow(values)
    return text.getvalue().removesuffix("\r\n")


def table_lines(predictions: Iterable[Prediction], width: int) -> Iterator[str]:
    """Yield the header and the rows of a table whose last column, the image, has no fixed width.

    Args:
        predictions: the predictions.
        width: width of the column of classes in characters.
    """
    yield f"{pad('class', width)}  probability  margin  image"
    for each in predictions:
        start = pad(each.label, width)
        if each.error:
            yield f"{start}  {'':>11}  {'':>6}  {each.image}: {each.error}"
        else:
            yield f"{start}  {each.probability:>11.3f}  {each.margin:>6.3f}  {each.image}"


def pad(text: str, width: int) -> str:
    """Return text with blanks up to a width in terminal cells."""
    return text + " " * (width - cell_len(text))
