"""Encode a folder of JPEG files as a transformers user would: open, process, encode, in batches.

python extract/bench/transformers_loop.py MODEL FOLDER FEATURES.npy [--batch-size 32]

Prints a JSON object with the images per second. The time does not include loading the model and
encoding one batch to warm up.
"""

import json
from argparse import ArgumentParser
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from PIL import Image
from transformers import AutoImageProcessor, CLIPModel
from transformers.utils import logging


def encode_batch(model, processor, paths):
    """Return the pooled features (batch, dim) of the images in files, as a tensor."""
    images = [Image.open(path).convert("RGB") for path in paths]
    inputs = processor(images=images, return_tensors="pt")
    with torch.no_grad():
        return model.vision_model(**inputs).pooler_output


def main():
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("features", type=Path)
    parser.add_argument("--batch-size", type=int, default=32)
    options = parser.parse_args()
    logging.disable_progress_bar()
    model = CLIPModel.from_pretrained(options.model, dtype=torch.float32).eval()
    processor = AutoImageProcessor.from_pretrained(options.model)
    paths = sorted(options.folder.glob("*.jpg"))
    size = options.batch_size
    batches = [paths[start : start + size] for start in range(0, len(paths), size)]
    encode_batch(model, processor, batches[0])
    started = perf_counter()
    features = [encode_batch(model, processor, batch) for batch in batches]
    seconds = perf_counter() - started
    np.save(options.features, torch.cat(features).numpy())
    print(json.dumps({"images_per_second": len(paths) / seconds}))


if __name__ == "__main__":
    main()
