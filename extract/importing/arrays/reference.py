"""References to an array in a file, as options give them: `FILE` or `FILE:KEY`."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ArrayReference:
    """An array in a file.

    Attributes:
        path: the file, or a folder.
        key: name of the array in the file; None selects the only matrix.
    """

    path: Path
    key: str | None = None

    def __str__(self) -> str:
        return str(self.path) if self.key is None else f"{self.path}:{self.key}"


def parse_reference(text: str | Path | ArrayReference) -> ArrayReference:
    """Parse a reference such as `F.npz:image_features`.

    A file whose name has a colon is found too. If there is no such file, the text without its last
    part is the path, provided that this is a file.
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
