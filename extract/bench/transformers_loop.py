"""Features as a transformers user would get them: open, process, encode, batch by batch.

python extract/bench/transformers_loop.py MODEL FOLDER FEATURES.npy [--batch-size 32]

FOLDER holds JPEG files. Prints one JSON object with the images a second; the model is loaded, and
the first batch encoded once, before the clock starts.
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


def encoded(model, processor, paths):
    """The pooled features of a batch."""
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
    encoded(model, processor, paths[:size])
    began = perf_counter()
    features = [
        encoded(model, processor, paths[start : start + size])
        for start in range(0, len(paths), size)
    ]
    seconds = perf_counter() - began
    np.save(options.features, torch.cat(features).numpy())
    print(json.dumps({"images_per_second": len(paths) / seconds}))


if __name__ == "__main__":
    main()
