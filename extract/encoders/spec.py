"""Which model to load and how it computes."""

from dataclasses import dataclass, replace
from typing import Any

PAPER_MODEL = "openai/clip-vit-large-patch14-336"
# What the journal of a job calls the settings that decide its bits.
RECORDED = {"dtype": "compute_dtype", "compile": "compile", "channels_last": "channels_last"}


@dataclass(frozen=True)
class EncoderSpec:
    """Which model to load and how it computes; picklable, so that any process can load it.

    Attributes:
        model: a hub id or a local folder of a transformers model; or `open-clip:` and an
            architecture with a tag or a weights file, or a folder.
        revision: branch, tag or commit of a hub id.
        device: `auto`, `cpu` or `cuda`.
        dtype: what the image tower computes in: `auto`, `float32`, `bfloat16` or `float16`.
        compile: translate the image tower by torch.compile; None does not.
        channels_last: keep the three colours of a pixel side by side in memory; None does not.
    """

    model: str = PAPER_MODEL
    revision: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    compile: bool | None = None
    channels_last: bool | None = None


def settled(spec: EncoderSpec, job: dict[str, Any]) -> EncoderSpec:
    """The spec with what it leaves open taken from the job of the same model that is gone on with.

    `job` is what the journal holds, empty where nothing is gone on with.
    """
    if job.get("model") != spec.model:
        return spec
    open_settings = {name for name in RECORDED if getattr(spec, name) in ("auto", None)}
    found = {name: job[RECORDED[name]] for name in open_settings if RECORDED[name] in job}
    if spec.device == "auto":
        found["device"] = job["device"].split()[0]
    return replace(spec, **found)
