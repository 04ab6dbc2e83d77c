"""Full fine-tuning of a CLIP's image tower in PyTorch, and one pass of the encoder, both timed.

python calibrate/studies/cost/pytorch/fine_tune.py JOB.npz --model DIR --root DIR --epochs N
    --seeds 0 1 --lr 1e-4 --weight-decay 0.01 --batch-size 64 --tolerance 0.05

Fine-tuning updates all weights of the image tower and of the projection with AdamW, by the
cross-entropy against class embeddings that stay as they are. After each epoch the worst class on
val is measured; the first epoch with the best value is evaluated on test. Prints a JSON object.
"""

import json
import resource
import sys
from argparse import ArgumentParser
from copy import deepcopy
from pathlib import Path
from time import perf_counter, process_time
from types import SimpleNamespace

import numpy as np
import torch
from compare_features import check_features
from PIL import Image
from torch import nn
from torch.nn import functional
from transformers import AutoImageProcessor, CLIPModel

MEGA = 1e6
# Unit of `ru_maxrss` in bytes.
UNIT = 1 if sys.platform == "darwin" else 1024
TRAIN, VAL, TEST = range(3)
ENCODE_ROWS = 64


class Classifier(nn.Module):
    """The image tower and the projection, with class embeddings and logit scale that stay fixed."""

    def __init__(self, network, class_embeddings, logit_scale):
        super().__init__()
        self.tower, self.projection = network.vision_model, network.visual_projection
        self.register_buffer("class_embeddings", class_embeddings)
        self.logit_scale = logit_scale

    def features(self, pixels):
        """Return the pooled features (rows, dim) of pixels (rows, 3, side, side)."""
        return self.tower(pixel_values=pixels).pooler_output

    def forward(self, pixels):
        """Return the logits (rows, classes) of pixels (rows, 3, side, side)."""
        embeddings = functional.normalize(self.projection(self.features(pixels)), dim=-1)
        return self.logit_scale * embeddings @ self.class_embeddings.T


def read_clocks():
    """Return wall-clock and CPU time in seconds, both from an arbitrary start."""
    return perf_counter(), process_time()


def measure_since(start):
    """Return the seconds and CPU seconds since `read_clocks`, and the peak memory of the process.

    The memory is in MB (10^6 bytes) and includes everything before.
    """
    now = read_clocks()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT / MEGA
    return {"seconds": now[0] - start[0], "cpu_seconds": now[1] - start[1], "rss_mb": memory}


def decode(root, ids, processor):
    """Return the pixels (rows, 3, side, side) of image files, float32; exit if one is unreadable.

    Args:
        root: the folder.
        ids: paths relative to it.
        processor: the image processor of transformers.
    """
    images = []
    for each in ids:
        try:
            with Image.open(root / each) as image:
                images.append(image.convert("RGB"))
        except OSError as error:
            sys.exit(f"{root / each}: cannot be read as an image: {error}")
    return processor(images=images, return_tensors="pt")["pixel_values"]


def batches(count):
    """Yield slices of at most `ENCODE_ROWS` rows."""
    for start in range(0, count, ENCODE_ROWS):
        yield slice(start, start + ENCODE_ROWS)


@torch.inference_mode()
def extract(model, job, root, processor):
    """Decode and encode all images once; return features (rows, dim), float32."""
    found = [
        model.features(decode(root, job.ids[each], processor)) for each in batches(len(job.ids))
    ]
    return torch.cat(found).numpy()


@torch.inference_mode()
def predict(model, pixels):
    """Return the predicted class of each row (rows,)."""
    model.eval()
    found = [model(pixels[each]).argmax(dim=1) for each in batches(len(pixels))]
    return torch.cat(found).numpy()


def worst_class(predictions, labels):
    """Return the lowest accuracy of a class that has rows, in [0, 1]."""
    return min(float((predictions == labels)[labels == each].mean()) for each in np.unique(labels))


def train_epoch(model, optimizer, pixels, labels, batch_size):
    """Train on all rows once, in random order."""
    model.train()
    for rows in torch.randperm(len(labels)).split(batch_size):
        loss = functional.cross_entropy(model(pixels[rows]), labels[rows])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()


def fine_tune(model, pixels, job, seed, options):
    """Fine-tune a model; return the selected epoch, its value on val and the test predictions.

    Args:
        model: the classifier; it is changed.
        pixels: those of all rows, (rows, 3, side, side).
        job: labels and splits of the rows.
        seed: seed of the order of the rows.
        options: epochs, lr, weight_decay and batch_size.
    """
    torch.manual_seed(seed)
    train, val, test = (np.flatnonzero(job.splits == each) for each in (TRAIN, VAL, TEST))
    train_pixels, labels = pixels[train], torch.from_numpy(job.labels[train].astype(np.int64))
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=options.lr, weight_decay=options.weight_decay
    )
    best, epoch_of_best, weights = -1.0, 0, None
    for epoch in range(1, options.epochs + 1):
        train_epoch(model, optimizer, train_pixels, labels, options.batch_size)
        value = worst_class(predict(model, pixels[val]), job.labels[val])
        if value > best:
            best, epoch_of_best, weights = value, epoch, deepcopy(model.state_dict())
    model.load_state_dict(weights)
    predictions = predict(model, pixels[test])
    return {"epoch": epoch_of_best, "val": best, "predictions": predictions.tolist()}


def parse_options():
    """Return the options of the command line."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("job", type=Path, help="an .npz file")
    parser.add_argument("--model", required=True)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument("--lr", type=float, required=True)
    parser.add_argument("--weight-decay", type=float, required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--tolerance", type=float, required=True, help="see compare_features.py")
    return parser.parse_args()


def load_model(options, job):
    """Return the classifier of a model folder."""
    network = CLIPModel.from_pretrained(options.model, local_files_only=True)
    return Classifier(network, torch.from_numpy(job.class_embeddings), float(job.logit_scale))


def main():
    """Time the encoder and fine-tuning of each seed, and print the measurements as JSON."""
    options = parse_options()
    with np.load(options.job) as arrays:
        job = SimpleNamespace(**{name: arrays[name] for name in arrays.files})
    processor = AutoImageProcessor.from_pretrained(
        options.model, backend="pil", local_files_only=True
    )
    torch.set_num_threads(1)  # More threads wait for each other in so small a network.
    start = read_clocks()
    features = extract(load_model(options, job).eval(), job, options.root, processor)
    extraction = measure_since(start)
    check_features(features, job.features, options.root, options.tolerance)
    start = read_clocks()
    pixels = decode(options.root, job.ids, processor)
    runs = [
        fine_tune(load_model(options, job), pixels, job, seed, options) for seed in options.seeds
    ]
    print(json.dumps({"extraction": extraction, "fine_tuning": measure_since(start), "runs": runs}))


if __name__ == "__main__":
    main()
