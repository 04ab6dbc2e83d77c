"""Expansion of prompt entries into sentences."""

from collections.abc import Sequence


def expand_prompts(entries: Sequence[str], templates: Sequence[str]) -> tuple[str, ...]:
    """Return the sentences of one class (or attribute value), entry after entry.

    Args:
        entries: an entry that ends with a full stop is a sentence and is kept unchanged; any
            other is a name and is inserted into every template.
        templates: sentences with the placeholder `{}`.
    """
    return tuple(
        sentence
        for entry in entries
        for sentence in ([entry] if entry.endswith(".") else fill_templates(entry, templates))
    )


def fill_templates(name: str, templates: Sequence[str]) -> list[str]:
    """Insert a name into every template. Braces in the name have no special meaning."""
    return [template.replace("{}", name) for template in templates]
