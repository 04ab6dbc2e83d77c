"""References to an array in a file, as options give them: `FILE` or `FILE:KEY`."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ArrayReference:
    """An array in a file. As text: `FILE`, or `FILE:KEY` if it has a key.

    Attributes:
        path: the file, or a folder.
        key: name of the array in the file; None selects the only matrix.
    """

    path: Path
    key: str | None = None

    def __str__(self) -> str:
        return str(self.path) if self.key is None else f"{self.path}:{self.key}"


def parse_reference(text: str | Path | ArrayReference) -> ArrayReference:
    """Parse a reference such as `F.npz:image_features`; a parsed one is returned unchanged.

    If the whole text is an existing path, it is the path, even with a colon. Otherwise the first
    colon after the name of an existing file separates path and key. If there is none, the whole
    text is the path of a missing file, without an error here. `~` is expanded.
    """
    if isinstance(text, ArrayReference):
        return text
    path = Path(text).expanduser()
    if path.exists():
        return ArrayReference(path)
    for end, character in enumerate(str(path)):
        if character == ":" and Path(str(path)[:end]).is_file():
            return ArrayReference(Path(str(path)[:end]), str(path)[end + 1 :])
    return ArrayReference(path)
