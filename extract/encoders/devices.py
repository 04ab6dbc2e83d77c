"""Choose the device, the compute type and the number of threads of a model."""

from dataclasses import dataclass
from typing import Any

import torch

from clip_cfr.extract.encoders.spec import EncoderSpec
from clip_cfr.extract.errors import ExtractError

SMALL_MODEL_PARAMETERS = 10_000_000


@dataclass(frozen=True)
class ComputeSettings:
    """How an image tower computes; nothing is left open.

    Attributes:
        device: where it runs.
        dtype: compute type: `float32`, or `bfloat16` or `float16` by autocast.
        compile: compile the tower with torch.compile.
        channels_last: use the channels-last memory layout.
    """

    device: torch.device
    dtype: str
    compile: bool
    channels_last: bool

    def provenance(self) -> dict[str, Any]:
        """Return the settings, in JSON types and under the names of the cache's provenance.

        The device includes its model or instruction set (see `device_name`).
        """
        return {
            "compute_dtype": self.dtype,
            "compile": self.compile,
            "channels_last": self.channels_last,
            "device": device_name(self.device),
        }


def choose_settings(
    spec: EncoderSpec, device: torch.device, num_parameters: int
) -> ComputeSettings:
    """Return the compute settings of a spec, with the open ones chosen.

    Args:
        spec: `dtype` `auto` is decided by `choose_dtype`; `compile` and `channels_last` None mean
            no.
        device: the device that `choose_device` returned.
        num_parameters: number of parameters of the model, both towers.
    """
    dtype = choose_dtype(spec.dtype, device, num_parameters)
    return ComputeSettings(device, dtype, bool(spec.compile), bool(spec.channels_last))


def choose_device(device: str, dtype: str) -> torch.device:
    """Return the device named `auto`, `cpu` or `cuda`, after checking that it can compute `dtype`.

    `auto` is `cuda` if there is a CUDA device, otherwise `cpu`.

    Raises:
        ExtractError: `cuda` is named and there is no CUDA device, or `float16` is named for a CPU.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise ExtractError(
            f"--device cuda: torch {torch.__version__} finds no CUDA device here; use --device cpu"
        )
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if (device, dtype) == ("cpu", "float16"):
        raise ExtractError("--dtype float16 needs a CUDA device; on a CPU use bfloat16 or float32")
    return torch.device(device)


def disable_tf32() -> None:
    """Make cuDNN compute float32 convolutions in float32, in the whole process.

    By default cuDNN would run the patch embedding in TF32, and all other layers in float32.
    """
    torch.backends.cudnn.allow_tf32 = False


def choose_dtype(dtype: str, device: torch.device, num_parameters: int) -> str:
    """Return the compute type that `auto` means for a device and a model size; keep any other.

    A model of fewer than 10 million parameters computes in float32, because casting costs more than
    it saves.

    A GPU computes in float16: as fast as bfloat16, with three more bits of mantissa. Its largest
    number is 65504. CLIP stays far below: OpenAI trained and published it in float16, and autocast
    accumulates over the layers in float32. If a model does exceed it, its features are infinite, no
    cache accepts them, and the error message names --dtype float32.

    A CPU computes in bfloat16 if it multiplies it in hardware, otherwise in float32: on two cores,
    ViT-B/32 encoded 6 images/s in bfloat16 and 24 in float32 with AVX-512 alone, 49 and 18 with
    AMX.
    """
    if dtype != "auto":
        return dtype
    if num_parameters < SMALL_MODEL_PARAMETERS:
        return "float32"
    if device.type == "cuda":
        return "float16"
    return "bfloat16" if has_bfloat16() else "float32"


def has_bfloat16() -> bool:
    """Return whether this CPU multiplies bfloat16 in hardware (AVX-512 BF16, AMX, or Arm BF16)."""
    found = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return any(found.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def device_name(device: torch.device) -> str:
    """Return the device with its model or instruction set, such as `cpu (AVX512)`.

    Devices of other models round differently.
    """
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return f"cpu ({torch.backends.cpu.get_cpu_capability()})"


def limit_threads(num_parameters: int) -> None:
    """Make torch use one thread in the whole process for a model of under 10 million parameters.

    The features are the same bits on any number of threads. Synchronization costs a small model
    more than parallelism gains: on two busy cores, the embedded tiny CLIP encoded 600 images/s on
    one thread and 90 to 140 on two.
    """
    if num_parameters < SMALL_MODEL_PARAMETERS:
        torch.set_num_threads(1)
