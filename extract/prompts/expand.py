"""Expansion of prompt entries into sentences."""

from collections.abc import Sequence

from clip_cfr.extract.manifest.manifest import Sentence


def expand_prompts(entries: Sequence[str], templates: Sequence[str]) -> tuple[str, ...]:
    """Return the sentences of one class (or attribute value), entry after entry.

    Args:
        entries: a `Sentence` is kept unchanged; any other entry is a name, even if it ends with a
            full stop, and is inserted into every template.
        templates: sentences with the placeholder `{}`.
    """
    return tuple(
        sentence
        for entry in entries
        for sentence in (
            [str(entry)] if isinstance(entry, Sentence) else fill_templates(entry, templates)
        )
    )


def fill_templates(name: str, templates: Sequence[str]) -> list[str]:
    """Return each template with every `{}` replaced by the name; other braces have no meaning."""
    return [template.replace("{}", name) for template in templates]
