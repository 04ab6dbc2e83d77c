"""Options for loading a model."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

COMPUTE_TYPES = ("float32", "bfloat16", "float16")
# Start of the name of a model that open_clip loads.
PREFIX = "open-clip:"
# Start of the rest of such a name, if it is that of a repository on the hub.
HUB = "hf-hub:"
# The folder of the tiny CLIP that this package includes.
TINY_CLIP = Path(__file__).parents[1] / "tiny_clip"
PAPER_MODEL = "openai/clip-vit-large-patch14-336"
# Name of each setting in the journal of a job.
JOURNAL_NAMES = {"dtype": "compute_dtype", "compile": "compile", "channels_last": "channels_last"}


@dataclass(frozen=True)
class EncoderSpec:
    """Model and compute settings; picklable, so that any process can load the encoder.

    Attributes:
        model: hub id, local folder or weights file of a transformers model; a folder of open_clip;
            or `open-clip:` followed by ARCHITECTURE/TAG, ARCHITECTURE/WEIGHTS_FILE,
            hf-hub:REPOSITORY or a folder.
        revision: branch, tag or commit of a hub id.
        device: `auto`, `cpu` or `cuda`.
        dtype: compute type of the image tower: `auto`, `float32`, `bfloat16` or `float16`.
        compile: compile the image tower with torch.compile; None means no.
        channels_last: use the channels-last memory layout; None means no.
    """

    model: str = PAPER_MODEL
    revision: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    compile: bool | None = None
    channels_last: bool | None = None


def fill_from_job(spec: EncoderSpec, job: dict[str, Any]) -> EncoderSpec:
    """Return the spec with its open compute settings as in an unfinished job.

    These are `device`, `dtype`, `compile` and `channels_last` if they are `auto` or None;
    `revision` is never changed. A `dtype` of the job that is not in `COMPUTE_TYPES` is ignored.
    Only a job of the same model counts: otherwise, and without a job, the spec is returned
    unchanged.

    Args:
        spec: the settings that the user gave.
        job: the job in the journal; empty if there is no unfinished job. Its `device` starts with
            `cpu` or `cuda`, such as `cpu (AVX512)`.

    Raises:
        KeyError: a job of the same model has no `device`, and that of the spec is `auto`.
    """
    if job.get("model") != spec.model:
        return spec
    open_settings = {name for name in JOURNAL_NAMES if getattr(spec, name) in ("auto", None)}
    found = {name: job[JOURNAL_NAMES[name]] for name in open_settings if JOURNAL_NAMES[name] in job}
    if found.get("dtype") not in COMPUTE_TYPES:
        found.pop("dtype", None)  # Of a changed journal: the jobs are compared and differ.
    if spec.device == "auto":
        found["device"] = job["device"].split()[0]
    return replace(spec, **found)
