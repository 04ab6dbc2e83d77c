"""Write a head as safetensors; needs neither torch nor transformers."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from clip_cfr.extract.export.selected_head import SelectedHead

HEAD_FILE = "head.safetensors"


def write_head(folder: Path, head: SelectedHead) -> None:
    """Write `head.safetensors`: the arrays of a head in float32, and its metadata as text.

    The metadata have `format` (`clip-cfr-head`), `version`, `formula`, `class_names` (a JSON list),
    `method`, `seed`, `dataset`, `model`, `revision` and `weights_sha256`; unknown ones are empty.
    """
    provenance = {
        name: str(head.model.get(name) or "") for name in ("model", "revision", "weights_sha256")
    }
    metadata = {
        "format": "clip-cfr-head",
        "version": "1",
        "formula": head.saved.formula or "",
        "class_names": json.dumps(head.class_names),
        "method": head.method,
        "seed": str(head.seed),
        "dataset": head.run.metrics["dataset"],
        **provenance,
    }
    # safetensors stores the bytes of an array, whatever its strides.
    arrays = {name: np.array(array, np.float32, order="C") for name, array in head.arrays.items()}
    save_file(arrays, folder / HEAD_FILE, metadata)
