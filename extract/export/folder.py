"""Export folders: replaced as a whole, and recognized by their index."""

from clip_cfr.cache.files.folder_kind import FolderKind

EXPORT = FolderKind(
    noun="export",
    article="an",
    format="clip-cfr-export",
    version=1,
    index="export.json",
    suffixes=(".json", ".md", ".txt", ".model", ".jinja", ".safetensors", ".onnx", ".onnx.data"),
    temporary=".tmp",  # Of safetensors.
)
