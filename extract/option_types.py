"""Types of the options of extract and import."""

import click

ROLES = ("filename", "label", "attribute", "split", "subject")


class AutoOrInteger(click.ParamType):
    """A whole number in a range, or `auto`."""

    name = "auto|N"

    def __init__(self, min: int, max: int | None = None):
        self.range = click.IntRange(min, max)

    def convert(self, value, param, ctx):
        if value == "auto":
            return value
        try:
            return self.range.convert(int(value), param, ctx)
        except ValueError:
            self.fail(f"{value!r} is neither auto nor a whole number", param, ctx)


class NameList(click.ParamType):
    """Values separated by commas."""

    name = "A,B,.."

    def convert(self, value, param, ctx):
        if not isinstance(value, str):
            return value
        return tuple(each.strip() for each in value.split(","))


class ClassNames(click.ParamType):
    """Class names, new names by old ones, or a file of either."""

    name = "A,B,..|FILE"

    def convert(self, value, param, ctx):
        from clip_cfr.extract.datasets.common.overrides import parse_class_names

        return parse_class_names(value) if isinstance(value, str) else value


class Columns(click.ParamType):
    """Columns of a list by their role, such as `filename=img,label=dx`."""

    name = "ROLE=COLUMN,.."

    def convert(self, value, param, ctx):
        if not isinstance(value, str):
            return value
        pairs = [each.partition("=") for each in value.split(",")]
        wrong = [role for role, equals, _ in pairs if not equals or role.strip() not in ROLES]
        if wrong:
            self.fail(f"{wrong[0]!r} is not one of {', '.join(ROLES)} with =COLUMN", param, ctx)
        return {role.strip(): column.strip() for role, _, column in pairs}
