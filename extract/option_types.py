"""Types of the options of extract and import."""

import click

ROLES = ("filename", "label", "attribute", "split", "subject")


class AutoOrInteger(click.ParamType):
    """Option type: a whole number from `min` to `max` (no limit for None), or the text `auto`."""

    name = "auto|N"

    def __init__(self, min: int, max: int | None = None):
        self.range = click.IntRange(min, max)

    def convert(self, value, param, ctx):
        """Return `auto` unchanged, else an int; other text or a number out of range is an error."""
        if value == "auto":
            return value
        try:
            return self.range.convert(int(value), param, ctx)
        except ValueError:
            self.fail(f"{value!r} is neither auto nor a whole number", param, ctx)


class NameList(click.ParamType):
    """Option type: values separated by commas, as a tuple without white space around them."""

    name = "A,B,.."

    def convert(self, value, param, ctx):
        """Return the values of a text as a tuple; anything but text is returned unchanged."""
        if not isinstance(value, str):
            return value
        return tuple(each.strip() for each in value.split(","))


class ClassNames(click.ParamType):
    """Option type: class names, new names by old ones, or a file of either.

    See `parse_class_names` for the result.
    """

    name = "A,B,..|FILE"

    def convert(self, value, param, ctx):
        """Return a text as `parse_class_names` does; anything but text is returned unchanged.

        Raises:
            ExtractError: the names or their file are not valid.
        """
        from clip_cfr.extract.datasets.common.overrides import parse_class_names

        return parse_class_names(value) if isinstance(value, str) else value


class Columns(click.ParamType):
    """Option type: columns of a list by their role, such as `filename=img,label=dx`, as a dict.

    The roles are those of `ROLES`. The column may be empty.
    """

    name = "ROLE=COLUMN,.."

    def convert(self, value, param, ctx):
        """Return the columns of a text by role; anything but text is returned unchanged.

        White space around roles and columns is removed. An unknown role or a part without `=` is a
        usage error. Of several columns of one role the last counts.
        """
        if not isinstance(value, str):
            return value
        pairs = [each.partition("=") for each in value.split(",")]
        wrong = [role for role, equals, _ in pairs if not equals or role.strip() not in ROLES]
        if wrong:
            self.fail(f"{wrong[0]!r} is not one of {', '.join(ROLES)} with =COLUMN", param, ctx)
        return {role.strip(): column.strip() for role, _, column in pairs}
