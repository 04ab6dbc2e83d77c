"""Refuse names that are not UTF-8 before any image is encoded: a cache holds text only."""

from collections.abc import Iterable

from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.manifest.manifest import Manifest


def check_encodable(manifest: Manifest) -> None:
    """Raise ExtractError if an id, or the name of a class or attribute value, is not UTF-8."""
    wrong = find_unencodable(manifest.rows.ids)
    if wrong:
        others = f" and {len(wrong) - 1:,} others" if len(wrong) > 1 else ""
        raise ExtractError(
            f"{manifest.dataset}: the path of the image {wrong[0]}{others} is not UTF-8, and the "
            "cache holds paths as text; rename it, for example with `convmv -f latin1 -t utf8 -r "
            "--notest` on the folder"
        )
    if wrong := find_unencodable((*manifest.class_names, *manifest.attribute_names)):
        raise ExtractError(
            f"{manifest.dataset}: the name {wrong[0]} of a class or attribute value is not UTF-8; "
            "give names with --class-names, in a terminal that uses UTF-8"
        )


def find_unencodable(names: Iterable[str]) -> list[str]:
    """Return the names that cannot be encoded as UTF-8, in their order.

    They hold a lone surrogate, by which Python represents a byte that is not UTF-8.
    """
    return [name for name in names if not is_encodable(name)]


def is_encodable(name: str) -> bool:
    """Return whether a name can be encoded as UTF-8."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
