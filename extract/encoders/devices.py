"""The device that a model runs on, what it computes in, and on how many threads."""

import torch

from clip_cfr.extract.errors import ExtractError

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


def chosen_dtype(dtype: str, device: torch.device, num_parameters: int) -> str:
    """What `auto` stands for on a device and for a model of this size; any other stays.

    A GPU computes in float16: as fast as bfloat16 there, with three more bits of mantissa. It ends
    at 65504, which CLIP keeps well away from: OpenAI trained and published it in float16, and what
    autocast adds up over the layers stays in float32. A model that leaves the range all the same
    gives infinite features, which no cache takes: the message then names --dtype float32.

    A CPU computes in bfloat16 only where it multiplies it in hardware: elsewhere that was slower
    than float32 (ViT-B/32, two cores with AVX-512 alone: 6 against 24 images/s; with AMX 49 against
    18). A small model stays in float32, as casting costs it more than it saves.
    """
    if dtype != "auto":
        return dtype
    if num_parameters < SMALL_MODEL:
        return "float32"
    if device.type == "cuda":
        return "float16"
    return "bfloat16" if has_bfloat16() else "float32"


def has_bfloat16() -> bool:
    """Whether this CPU says that it multiplies bfloat16: by AVX-512, by AMX, or an ARM's."""
    found = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return any(found.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


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
