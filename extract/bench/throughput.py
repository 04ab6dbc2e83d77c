"""Images a second: of a whole extraction, and of its encoder on pixels that are in memory."""

from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from time import perf_counter

import torch

from clip_cfr.extract.datasets import load_dataset
from clip_cfr.extract.datasets.common.options import DatasetOptions
from clip_cfr.extract.encoders.base import Encoder
from clip_cfr.extract.images.batches import suitable_workers
from clip_cfr.extract.manifest.manifest import Manifest
from clip_cfr.extract.options import ExtractOptions
from clip_cfr.extract.run import extract

# What was measured in one turn, by name.
Turn = dict[str, float]


class Quiet:
    """A progress that nobody looks at."""

    def start(self, row: int, num_rows: int) -> None:
        pass

    def advance(self, num_rows: int) -> None:
        pass

    def say(self, line: str) -> None:
        pass


@dataclass(frozen=True)
class Rates:
    """An encoder, the batches that it takes, and files that it is fed with.

    Attributes:
        manifests: of each size of file, by its name.
        out: the cache that extractions write, again and again.
    """

    encoder: Encoder
    batch_size: int
    manifests: dict[str, Manifest]
    out: Path

    @property
    def workers(self) -> int:
        """As many as decode a large data set; the few images of a turn would get none."""
        return suitable_workers(self.encoder.device, float("inf"))

    def measure(self) -> Turn:
        """Of each size the rate end to end, and the mean of the encoder's before and after it."""
        found, before = {}, self.of_encoder()
        for name, manifest in self.manifests.items():
            found[name] = self.end_to_end(manifest)
            after = self.of_encoder()
            found[f"encoder {name}"] = mean((before, after))
            before = after
        return found

    def end_to_end(self, manifest: Manifest) -> float:
        """From files to the finished cache; without the loading of the model."""
        options = ExtractOptions(self.batch_size, self.workers, templates="simple", overwrite=True)
        return (
            len(manifest.rows) / extract(manifest, self.encoder, self.out, options, Quiet()).seconds
        )

    def of_encoder(self) -> float:
        """As many images, as random pixels in memory, batch by batch as an extraction does."""
        side, count = self.encoder.view.side, self.num_images
        on_gpu = self.encoder.device.type == "cuda"
        pixels = torch.randint(256, (self.batch_size, side, side, 3), dtype=torch.uint8)
        pixels = pixels.pin_memory() if on_gpu else pixels
        self.encoder.encode(pixels)
        began, launched = perf_counter(), []
        for start in range(0, count, self.batch_size):
            launched.append(self.encoder.launch(pixels[: count - start]))
            if len(launched) > on_gpu:
                launched.pop(0)()
        for fetch in launched:
            fetch()
        return count / (perf_counter() - began)

    @property
    def num_images(self) -> int:
        """How many images each size has."""
        return len(next(iter(self.manifests.values())).rows)


def load_pictures(root: Path) -> Manifest:
    """The manifest of a folder of pictures."""
    return load_dataset("folder", root, DatasetOptions())


def efficiency(turns: list[Turn], name: str) -> float:
    """Mean rate end to end over the encoder's mean rate around it."""
    return average(turns, name) / average(turns, f"encoder {name}")


def average(turns: list[Turn], name: str) -> float:
    """Mean over the turns."""
    return mean(turn[name] for turn in turns)
