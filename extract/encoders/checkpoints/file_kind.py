"""Recognize a weights file by its first bytes, whatever its ending."""

import zipfile
from pathlib import Path

SAFETENSORS = "a safetensors file"
TORCH = "a file of torch.save"
TORCHSCRIPT = "a TorchScript archive"
NUM_BYTES = 512
MAX_HEADER = 100_000_000  # The limit of safetensors.
# First bytes of files that hold no weights to load, with their description and remedy.
OTHERS = (
    (
        b"version https://git-lfs",
        "a Git LFS pointer, which stands for the weights: run `git lfs pull` in its folder",
    ),
    (b"<", "a web page: download the file again, and log in if its page asks for that"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as of TensorFlow: take the model's PyTorch weights"),
    (b"GGUF", "a GGUF file, as of llama.cpp: take the model's PyTorch weights"),
    (b"\x93NUMPY", "an array of numpy: import reads features that exist already"),
)


def file_kind(path: Path) -> str:
    """Return SAFETENSORS, TORCH or TORCHSCRIPT, or the description of any other file.

    A description includes the remedy and continues a sentence that ends in "is": `empty, so its
    download was interrupted: download it again`.
    """
    with path.open("rb") as file:
        start = file.read(NUM_BYTES)
    if not start:
        return "empty, so its download was interrupted: download it again"
    if is_safetensors(start):
        return SAFETENSORS
    if zipfile.is_zipfile(path):
        return archive_kind(path)
    for first_bytes, description in OTHERS:
        if start.lstrip().startswith(first_bytes):
            return description
    if start.startswith(b"\x80"):  # A pickle: the format of torch before 1.6.
        return TORCH
    # A truncated archive has its first entry, but no directory at its end.
    if start.startswith(b"PK"):
        return "truncated, so its download was interrupted: download it again"
    return "neither a safetensors file nor one of torch.save: check that it is a weights file"


def is_safetensors(start: bytes) -> bool:
    """Return whether the first bytes of a file are the length of a JSON header, and its brace."""
    return start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= MAX_HEADER


def archive_kind(path: Path) -> str:
    """Return the kind of a zip archive, by the names of its entries, as `file_kind` does."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError):
        return "a damaged archive: download or save it again"
    if any(name.endswith("/constants.pkl") for name in names):
        return TORCHSCRIPT
    if any(name.endswith("/data.pkl") for name in names):
        return TORCH
    return (
        "an archive that torch.save did not write, such as a zip or .npz file: unpack it, or take "
        "the model's PyTorch weights"
    )
