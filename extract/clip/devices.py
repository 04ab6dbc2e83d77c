"""The device that a model runs on, and how many threads."""

import torch

from extract.errors import ExtractError

SMALL_MODEL = 10_000_000


def chosen_device(device: str, dtype: str) -> torch.device:
    """The device that `auto`, `cpu` or `cuda` stands for; an ExtractError where there is none."""
    if device == "cuda" and not torch.cuda.is_available():
        raise ExtractError(
            f"--device cuda: torch {torch.__version__} finds no CUDA device here; use --device cpu"
        )
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if (device, dtype) == ("cpu", "float16"):
        raise ExtractError("--dtype float16 needs a CUDA device; on a CPU use bfloat16 or float32")
    # Else the patch embedding, a convolution, runs in TF32 while all the rest is float32.
    torch.backends.cudnn.allow_tf32 = False
    return torch.device(device)


def device_name(device: torch.device) -> str:
    """The device and what kind it is, since another kind rounds otherwise."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return f"cpu ({torch.backends.cpu.get_cpu_capability()})"


def limit_threads(num_parameters: int) -> None:
    """Keeps a small model on one thread; the bits are the same on any number.

    Threads that wait for each other cost it more than they give: on two busy cores, the embedded
    tiny CLIP encoded 600 images/s on one thread and 90 to 140 on two.
    """
    if num_parameters < SMALL_MODEL:
        torch.set_num_threads(1)
