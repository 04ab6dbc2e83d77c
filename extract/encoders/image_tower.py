"""An image tower on its device: 8-bit pixels in, float32 features out."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain

import torch
from jaxtyping import Float32

from clip_cfr.extract.encoders.base import Features, Pixels
from clip_cfr.extract.encoders.compilation import CompiledNetwork
from clip_cfr.extract.encoders.devices import ComputeSettings
from clip_cfr.extract.images.preprocessing import Preprocessing

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class ImageTower:
    """A torch network with its preprocessing and compute settings.

    Attributes:
        network: maps float32 images (batch, 3, side, side) to features (batch, dim).
        preprocessing: how an image becomes pixels; its mean and std are applied here.
        settings: device, compute type and memory layout.
    """

    network: Callable[[torch.Tensor], torch.Tensor]
    preprocessing: Preprocessing
    settings: ComputeSettings

    @classmethod
    def from_network(
        cls, network: torch.nn.Module, preprocessing: Preprocessing, settings: ComputeSettings
    ) -> "ImageTower":
        """Return the tower of a network in evaluation mode.

        The network is moved to the device and memory layout of the settings, in place, and compiled
        by its first call if the settings say so.
        """
        network = network.to(settings.device)
        if settings.channels_last:
            network = network.to(memory_format=torch.channels_last)
        callable_network = CompiledNetwork(network) if settings.compile else network
        return cls(callable_network, preprocessing, settings)

    def encode(self, pixels: Pixels) -> Features:
        """Return the features of a batch: pooled, before the head and not normalized."""
        return self.launch(pixels)()

    @torch.inference_mode()
    def launch(self, pixels: Pixels) -> Callable[[], Features]:
        """Start encoding a batch and return a function that waits for its features.

        On a CPU the features are complete when this returns. The network runs under autocast in the
        settings' compute type; the features are float32.
        """
        device, name = self.settings.device, self.settings.dtype
        images = self.normalize(torch.as_tensor(pixels).to(device, non_blocking=True))
        # Autocast to float32 does not exist: leave autocast off.
        dtype = None if name == "float32" else DTYPES[name]
        with torch.autocast(device.type, dtype=dtype, enabled=dtype is not None):
            return start_copy_to_host(self.network(images).float())

    def normalize(self, pixels: torch.Tensor) -> Float32[torch.Tensor, "batch 3 side side"]:
        """Return (pixels / 255 - mean) / std of pixels (batch, side, side, 3), channels first.

        The order of operations is that of transformers, which decides the last bits.
        """
        mean, std = (
            torch.tensor(values, device=self.settings.device)[:, None, None]
            for values in (self.preprocessing.mean, self.preprocessing.std)
        )
        layout = torch.channels_last if self.settings.channels_last else torch.contiguous_format
        images = pixels.permute(0, 3, 1, 2).to(torch.float32, memory_format=layout)
        return images.div_(255).sub_(mean).div_(std)


class ImageTowerMixin:
    """The methods of `Encoder` that an image tower implements.

    Attributes:
        tower: the image tower that they call.
    """

    tower: ImageTower

    @property
    def preprocessing(self) -> Preprocessing:
        """How an image becomes the pixels that `encode` takes."""
        return self.tower.preprocessing

    @property
    def device(self) -> torch.device:
        """Where the image tower runs."""
        return self.tower.settings.device

    def encode(self, pixels: Pixels) -> Features:
        """Return the pooled image features, before the head and not normalized."""
        return self.tower.encode(pixels)

    def launch(self, pixels: Pixels) -> Callable[[], Features]:
        """Start encoding a batch and return a function that waits for its features."""
        return self.tower.launch(pixels)


def find_bad_weight(network: torch.nn.Module) -> str | None:
    """Return the name of the first weight that holds NaN or infinity; None if there is none.

    The statistics of batch normalization count as weights. Other buffers do not: the mask of a text
    tower holds infinity.
    """
    statistics = (
        (name, buffer)
        for name, buffer in network.named_buffers()
        if name.endswith(("running_mean", "running_var"))
    )
    weights = chain(network.named_parameters(), statistics)
    return next((name for name, weight in weights if not weight.isfinite().all()), None)


def cast_weights(network: torch.nn.Module, dtype: str) -> torch.nn.Module:
    """Cast linear and convolution layers to `dtype` in place and return the network.

    `float32` changes nothing. Autocast gives the same bits, but casts the weights again for every
    batch: 0.2 s for the 85 million of ViT-B/32 on two busy cores, where AMX encodes 32 images in
    0.65 s.
    """
    if dtype != "float32":
        for module in network.modules():
            if isinstance(module, torch.nn.Linear | torch.nn.Conv2d):
                module.to(DTYPES[dtype])
    return network


def start_copy_to_host(features: torch.Tensor) -> Callable[[], Features]:
    """Start copying features to the CPU and return a function that waits for the copy.

    Features on the CPU are not copied: the function returns an array that shares their memory.
    """
    if features.device.type != "cuda":
        return features.numpy
    return HostCopy(features)


class HostCopy:
    """An asynchronous copy of a CUDA tensor to page-locked memory of the host, begun on creation.

    Args:
        tensor: the tensor.

    Attributes:
        copy: the copy, complete once `done` is.
        done: CUDA event that follows the copy.
    """

    def __init__(self, tensor: torch.Tensor):
        # torch allocates page-locked memory for the result of a non-blocking copy.
        self.copy = tensor.to("cpu", non_blocking=True)
        self.done = torch.cuda.Event()
        self.done.record()

    def __call__(self) -> Features:
        """Wait until the copy is complete and return it."""
        self.done.synchronize()
        return self.copy.numpy()
