"""Small tar archives in tests."""

import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

Content = bytes | str | Mapping
Member = tuple[str, Content | tarfile.TarInfo]


def write_tar(path: Path, members: Iterable[Member]) -> Path:
    """Write a tar archive. A mapping is written as JSON, a TarInfo as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            if isinstance(content, tarfile.TarInfo):
                tar.addfile(content)
                continue
            data = encode(content)
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def encode(content: Content) -> bytes:
    """Return the bytes of a member."""
    if isinstance(content, bytes):
        return content
    return (content if isinstance(content, str) else json.dumps(content)).encode()


def make_link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> Member:
    """Return a member that is a link, or of another kind without content."""
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return name, member


def make_samples(jpeg: bytes, num: int, first: int = 0, beside: bool = True) -> list[Member]:
    """Return samples as img2dataset writes them: labels cat and dog, places, and all splits."""
    members: list[Member] = []
    for number in range(first, first + num):
        key = f"{number:06d}"
        members.append((f"{key}.jpg", jpeg + number.to_bytes(4)))
        if beside:
            fields = {
                "label": ("cat", "dog")[number % 2],
                "place": ("indoors", "outdoors")[number // 2 % 2],
                "split": ("train", "val", "test")[number % 3],
            }
            extra = {"caption": f"caption {number}", "key": key, "url": "http://a.b", "width": 4}
            members += [(f"{key}.json", fields | extra), (f"{key}.txt", f"caption {number}")]
    return members
