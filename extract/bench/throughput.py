"""Images per second of a whole extraction, and of its encoder on pixels in memory."""

from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from time import perf_counter

import torch
from torch.utils.flop_counter import FlopCounterMode

from clip_cfr.extract.datasets import load_dataset
from clip_cfr.extract.datasets.common.options import DatasetOptions
from clip_cfr.extract.encoders.base import Encoder
from clip_cfr.extract.images.workers import choose_num_workers
from clip_cfr.extract.manifest.manifest import Manifest
from clip_cfr.extract.options import ExtractOptions
from clip_cfr.extract.run import extract_manifest

# The rates measured in one repeat, in images per second (`product` in FLOP/s), by name.
Rates = dict[str, float]
# Rows, columns and inner size of the matrix product: a layer of ViT-B/32 for 32 images.
PRODUCT_SHAPE = (1600, 3072, 768)
NUM_PRODUCTS = 20


@dataclass(frozen=True)
class Throughput:
    """Measures the rates of an encoder.

    Attributes:
        encoder: the encoder.
        batch_size: images per batch.
        manifests: images of each file size, by the size's name; equally many of each.
        out: cache file that each extraction replaces.
    """

    encoder: Encoder
    batch_size: int
    manifests: dict[str, Manifest]
    out: Path

    @property
    def workers(self) -> int:
        """Number of decoding workers of a large data set; the few images here would get none."""
        return choose_num_workers(self.encoder.device, float("inf"))

    @property
    def num_images(self) -> int:
        """Number of images in each manifest; all manifests have the same number."""
        return len(next(iter(self.manifests.values())).rows)

    def measure(self) -> Rates:
        """Measure each file size end to end, and the encoder before and after.

        Returns:
            For each file size NAME, the rate end to end under NAME, and the mean of the encoder's
            rates before and after under `encoder NAME`; the FLOP/s of a matrix product under
            `product`.
        """
        rates, before = {"product": self.measure_product()}, self.measure_encoder()
        for name, manifest in self.manifests.items():
            rates[name] = self.measure_extraction(manifest)
            after = self.measure_encoder()
            rates[f"encoder {name}"] = mean((before, after))
            before = after
        return rates

    def measure_product(self) -> float:
        """Return the FLOP/s of torch's matrix product in the encoder's compute type."""
        rows, columns, inner = PRODUCT_SHAPE
        dtype = getattr(torch, self.encoder.provenance()["compute_dtype"])
        options = {"dtype": dtype, "device": self.encoder.device}
        left, right = torch.rand(rows, inner, **options), torch.rand(inner, columns, **options)
        seconds = []
        for _ in range(NUM_PRODUCTS):
            started = perf_counter()
            (left @ right)[0, 0].item()  # Waits for a GPU.
            seconds.append(perf_counter() - started)
        return 2 * rows * columns * inner / median(seconds)

    def count_flops(self) -> float:
        """Return the floating-point operations of the encoder for an image."""
        side = self.encoder.preprocessing.side
        pixels = torch.zeros(1, side, side, 3, dtype=torch.uint8)
        with FlopCounterMode(display=False) as counter:
            self.encoder.encode(pixels)
        return counter.get_total_flops()

    def measure_extraction(self, manifest: Manifest) -> float:
        """Return images per second from files to finished cache, without loading the model."""
        options = ExtractOptions(
            self.batch_size, self.workers, templates="simple", words=False, overwrite=True
        )
        seconds = extract_manifest(manifest, self.encoder, self.out, options).seconds
        return len(manifest.rows) / seconds

    def measure_encoder(self) -> float:
        """Return images per second for random pixels in memory, batched as an extraction does."""
        side, count = self.encoder.preprocessing.side, self.num_images
        on_gpu = self.encoder.device.type == "cuda"
        pixels = torch.randint(256, (self.batch_size, side, side, 3), dtype=torch.uint8)
        pixels = pixels.pin_memory() if on_gpu else pixels
        self.encoder.encode(pixels)
        started, in_flight = perf_counter(), []
        for first in range(0, count, self.batch_size):
            in_flight.append(self.encoder.launch(pixels[: count - first]))
            if len(in_flight) > on_gpu:
                in_flight.pop(0)()
        for fetch in in_flight:
            fetch()
        return count / (perf_counter() - started)


def load_images(root: Path) -> Manifest:
    """Return the manifest of a folder of images with a metadata.csv."""
    return load_dataset("folder", root, DatasetOptions())


def mean_rate(repeats: list[Rates], name: str) -> float:
    """Return the mean, over the repeats, of the rate `name`, in images per second."""
    return mean(rates[name] for rates in repeats)


def pipeline_efficiency(repeats: list[Rates], name: str) -> float:
    """Return the mean rate end to end of a file size, divided by the encoder's mean rate."""
    return mean_rate(repeats, name) / mean_rate(repeats, f"encoder {name}")


def gemm_fraction(repeats: list[Rates], flops: float) -> float:
    """Return the operations of the encoder per second, divided by those of a matrix product.

    Args:
        repeats: the rates of each repeat.
        flops: floating-point operations of the encoder for an image.
    """
    rates = [
        value for each in repeats for name, value in each.items() if name.startswith("encoder ")
    ]
    return flops * mean(rates) / mean_rate(repeats, "product")
